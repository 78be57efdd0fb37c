#include "experiment/fidelity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ebb::experiment {
namespace {

struct Softmax {
  double log_sum = 0;  // log of the sum of exp(logit)
  size_t top = 0;      // the first of the largest
};

Softmax softmax_of(std::span<const float> logits) {
  Softmax out;
  out.top = static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const float most = logits[out.top];
  double sum = 0;
  for (const float x : logits) sum += static_cast<double>(std::exp(x - most));
  out.log_sum = static_cast<double>(most) + std::log(sum);
  return out;
}

}  // namespace

void ReplyLogits::add(std::span<const float> logits) {
  n_vocab_ = logits.size();
  values_.insert(values_.end(), logits.begin(), logits.end());
  ++n_rows_;
}

std::span<const float> ReplyLogits::row(size_t i) const {
  EBB_CHECK(i < n_rows_);
  return std::span(values_).subspan(i * n_vocab_, n_vocab_);
}

void FidelitySum::add(std::span<const float> baseline, std::span<const float> arm, int32_t id) {
  EBB_CHECK(baseline.size() == arm.size());
  const Softmax p = softmax_of(baseline);
  const Softmax q = softmax_of(arm);
  double kl = 0;
  for (size_t i = 0; i < baseline.size(); ++i) {
    const double log_p = static_cast<double>(baseline[i]) - p.log_sum;
    if (log_p < -40) continue;  // below 1e-17 of the mass: nothing to add in a double
    const double log_q = static_cast<double>(arm[i]) - q.log_sum;
    kl += std::exp(log_p) * (log_p - log_q);
  }
  kl = std::max(kl, 0.0);
  const auto at = static_cast<size_t>(id);
  sum_.kl_mean += kl;
  sum_.kl_max = std::max(sum_.kl_max, kl);
  sum_.delta_loglik +=
      (static_cast<double>(arm[at]) - q.log_sum) - (static_cast<double>(baseline[at]) - p.log_sum);
  if (p.top == q.top) {
    ++n_same_top_;
  } else if (sum_.first_divergence < 0) {
    sum_.first_divergence = sum_.n_tokens;
  }
  ++sum_.n_tokens;
}

record::Fidelity FidelitySum::result() const {
  record::Fidelity out = sum_;
  if (out.n_tokens == 0) return out;
  out.kl_mean /= out.n_tokens;
  out.delta_loglik /= out.n_tokens;
  out.top1_agreement = static_cast<double>(n_same_top_) / out.n_tokens;
  return out;
}

}  // namespace ebb::experiment
