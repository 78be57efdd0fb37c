#include "stats/effect_size.h"

#include <cmath>

#include "stats/descriptive.h"
#include "stats/distributions.h"

namespace ebb::stats {

std::optional<PairedEffect> paired_effect(std::span<const double> differences, double confidence) {
  require_level(confidence, "confidence", "effect size");
  require_finite(differences, "effect size");
  if (differences.size() < 2) return std::nullopt;
  const Summary summary = summarize(differences);
  if (summary.sd <= 1e-12 * std::abs(summary.mean)) return std::nullopt;
  const double root = std::sqrt(real(summary.n));
  const double df = real(summary.n - 1);
  // With two pairs Gamma((df - 1) / 2) has a pole and J is 0: g would always be 0.
  const double correction = summary.n > 2 ? hedges_correction(df) : 0.0;
  PairedEffect out;
  out.d_z = summary.mean / summary.sd;
  const double t = out.d_z * root;
  out.d_z_interval = {noncentrality_for(t, df, (1 + confidence) / 2) / root,
                      noncentrality_for(t, df, (1 - confidence) / 2) / root};
  out.hedges_g = correction * out.d_z;
  out.hedges_g_interval = {correction * out.d_z_interval.low, correction * out.d_z_interval.high};
  out.interval_method = std::abs(t) > 180 ? "normal approximation" : "noncentral t";
  return out;
}

}  // namespace ebb::stats
