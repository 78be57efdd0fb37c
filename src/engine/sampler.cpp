#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "kernels/logits.h"
#include "kernels/vector_math.h"

namespace ebb::engine {
namespace {

// In temperatures below the best logit. Tokens further down weigh less than 1e-11 of the best one
// even if they are a vocabulary of a million together: they are never drawn.
constexpr float kFarBelow = 40.0F;

}  // namespace

Sampler::Sampler(const Sampling& sampling, std::string_view conversation_id)
    : sampling_(sampling),
      random_(sampling.seed, conversation_key(conversation_id), RandomUse::kSampling) {
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0.0F) {
    throw Error::make(ErrorKind::kUsage, "temperature {}: expected 0 (greedy) or more",
                      sampling.temperature);
  }
  if (!(sampling.top_p > 0.0F && sampling.top_p <= 1.0F)) {
    throw Error::make(ErrorKind::kUsage, "top_p {}: expected more than 0 and at most 1",
                      sampling.top_p);
  }
}

int32_t Sampler::pick(std::span<const float> logits, int turn, int token) const {
  const kernels::Peak peak = kernels::find_peak(logits);
  if (!peak.all_finite) {
    throw Error(ErrorKind::kBackend, "the model's logits are not finite: a damaged weight or cell");
  }
  if (sampling_.temperature == 0.0F) return static_cast<int32_t>(peak.index);

  std::vector<int32_t> order;
  kernels::find_at_least(logits, peak.value - kFarBelow * sampling_.temperature, order);
  const auto logit = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  });
  std::vector<double> mass(order.size());
  double sum = 0.0;
  for (size_t i = 0; i < order.size(); ++i) {
    sum += std::exp(static_cast<double>(logit(order[i]) - peak.value) / sampling_.temperature);
    mass[i] = sum;
  }
  const double allowed = sum * sampling_.top_p;
  const auto end = std::lower_bound(mass.begin(), mass.end(), allowed);
  const double kept = end == mass.end() ? sum : *end;
  const double draw =
      random_.uniform(static_cast<uint32_t>(token), static_cast<uint32_t>(turn)) * kept;
  const auto chosen = std::upper_bound(mass.begin(), mass.end(), draw);
  return order[static_cast<size_t>(std::min(chosen, mass.end() - 1) - mass.begin())];
}

double log_probability(std::span<const float> logits, int32_t id) {
  const double top = kernels::find_peak(logits).value;
  std::vector<double> masses(logits.begin(), logits.end());
  const double sum = kernels::exponentiate(top, masses);
  return static_cast<double>(logits[static_cast<size_t>(id)]) - top - std::log(sum);
}

}  // namespace ebb::engine
