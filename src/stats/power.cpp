#include "stats/power.h"

#include <cmath>

#include "base/error.h"
#include "stats/checks.h"
#include "stats/distributions.h"

namespace ebb::stats {
namespace {

constexpr int kBisections = 60;

void check(const BinaryDesign& design) {
  require_level(design.alpha, "alpha", "power");
  if (design.n_pairs > 0 && design.discordance > 0 && design.discordance <= 1) return;
  throw Error::make(ErrorKind::kUsage,
                    "power: found {} pairs with discordance {}, expected at least one pair and a "
                    "share above 0 and up to 1",
                    design.n_pairs, design.discordance);
}

double normal_power(const BinaryDesign& design, double difference) {
  const double z = normal_quantile(1 - design.alpha / 2);
  const double reach =
      std::abs(difference) * std::sqrt(real(design.n_pairs)) - z * std::sqrt(design.discordance);
  const double spread = design.discordance - difference * difference;
  if (spread <= 0) return reach > 0 ? 1.0 : 0.0;
  return normal_cdf(reach / std::sqrt(spread));
}

double exact_power(const BinaryDesign& design, double difference) {
  const double share = 0.5 + difference / (2 * design.discordance);  // of discordant pairs, one way
  double power = 0;
  size_t n_rejecting = 0;  // the smallest counts 0 .. n_rejecting - 1 of m lead to rejection
  for (size_t m = 1; m <= design.n_pairs; ++m) {
    while (2 * n_rejecting < m && 2 * binomial_cdf(n_rejecting, m, 0.5) <= design.alpha) {
      ++n_rejecting;
    }
    // With one more pair the tail of the same count is lighter, so n_rejecting never shrinks.
    if (n_rejecting == 0) continue;
    const double weight = binomial_pmf(m, design.n_pairs, design.discordance);
    if (weight < 1e-15) continue;
    power += weight * (binomial_cdf(n_rejecting - 1, m, share) +
                       binomial_cdf(n_rejecting - 1, m, 1 - share));
  }
  return power;
}

}  // namespace

double binary_power(const BinaryDesign& design, double difference) {
  check(design);
  if (!(std::abs(difference) <= design.discordance)) {
    throw Error::make(
        ErrorKind::kUsage,
        "power: found a difference of {} with discordance {}, expected no more than it", difference,
        design.discordance);
  }
  return design.method == BinaryPower::kNormal ? normal_power(design, difference)
                                               : exact_power(design, difference);
}

std::optional<double> detectable_difference(const BinaryDesign& design, double power) {
  require_level(power, "power", "power");
  if (binary_power(design, design.discordance) < power) return std::nullopt;
  double low = 0;
  double high = design.discordance;
  for (int step = 0; step < kBisections; ++step) {
    const double middle = (low + high) / 2;
    (binary_power(design, middle) < power ? low : high) = middle;
  }
  return high;
}

double continuous_power(size_t n_pairs, double effect_sd, double alpha) {
  require_level(alpha, "alpha", "power");
  if (n_pairs < 2 || !std::isfinite(effect_sd)) {
    throw Error::make(ErrorKind::kUsage,
                      "power: found {} pairs and an effect of {}, expected at least 2 and a number",
                      n_pairs, effect_sd);
  }
  const double df = real(n_pairs - 1);
  const double critical = t_quantile(1 - alpha / 2, df);
  const double noncentrality = effect_sd * std::sqrt(real(n_pairs));
  return noncentral_t_upper(critical, df, noncentrality) +
         noncentral_t_cdf(-critical, df, noncentrality);
}

double detectable_effect_sd(size_t n_pairs, double alpha, double power) {
  require_level(power, "power", "power");
  double low = 0;
  double high = 1;
  while (continuous_power(n_pairs, high, alpha) < power && high < 1e6) high *= 2;
  for (int step = 0; step < kBisections; ++step) {
    const double middle = (low + high) / 2;
    (continuous_power(n_pairs, middle, alpha) < power ? low : high) = middle;
  }
  return high;
}

DetectionPlan plan_detection(size_t n_pairs, size_t n_contrasts, double alpha, double power) {
  require_level(alpha, "alpha", "detection plan");
  if (n_contrasts < 1) throw Error::make(ErrorKind::kUsage, "detection plan: found no contrast");
  DetectionPlan out{.n_pairs = n_pairs,
                    .n_contrasts = n_contrasts,
                    .alpha = alpha,
                    .alpha_each = alpha / real(n_contrasts),
                    .power = power};
  for (const double discordance : {0.1, 0.2, 0.4}) {
    BinaryDesign design{.n_pairs = n_pairs, .discordance = discordance, .alpha = out.alpha_each};
    DetectionPlan::Binary row{.discordance = discordance,
                              .normal = detectable_difference(design, power)};
    design.method = BinaryPower::kExact;
    row.exact = detectable_difference(design, power);
    out.binary.push_back(row);
  }
  if (n_pairs >= 2) out.continuous_sd = detectable_effect_sd(n_pairs, out.alpha_each, power);
  return out;
}

}  // namespace ebb::stats
