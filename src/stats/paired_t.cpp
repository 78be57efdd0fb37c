#include "stats/paired_t.h"

#include <cmath>

#include "stats/descriptive.h"
#include "stats/distributions.h"

namespace ebb::stats {

PairedT paired_t(std::span<const double> differences, double confidence) {
  require_level(confidence, "confidence", "paired t test");
  require_at_least(differences.size(), 1, "paired t test");
  require_finite(differences, "paired t test");
  const Summary summary = summarize(differences);
  PairedT out{
      .df = real(summary.n - 1), .mean = summary.mean, .standard_error = summary.standard_error};
  const size_t n_nonzero = count_nonzero(differences);
  if (n_nonzero == 0) {
    out.test = identical_result("paired t", differences.size());
    return out;
  }
  out.test = {.method = "paired t", .n_pairs = summary.n, .n_nonzero = n_nonzero};
  if (summary.n < 2) {
    out.test.note = "one pair only";
    return out;
  }
  out.interval = mean_interval_t(summary, confidence);
  // Differences such as 0.3 - 0.2 and 0.1 - 0 are equal but for rounding: that is no spread.
  if (summary.sd <= 1e-12 * std::abs(summary.mean)) {
    out.test.note = "all differences are equal: t is not defined";
    return out;
  }
  out.test.statistic = summary.mean / summary.standard_error;
  out.test.p = t_two_sided(out.test.statistic, out.df);
  return out;
}

}  // namespace ebb::stats
