#include "stats/equivalence.h"

#include <algorithm>

#include "base/error.h"
#include "stats/distributions.h"
#include "stats/paired_t.h"
#include "stats/test_result.h"

namespace ebb::stats {
namespace {

Equivalence start(std::span<const double> differences, Interval margin, double alpha,
                  const char* method) {
  require_at_least(differences.size(), 1, "equivalence test");
  require_finite(differences, "equivalence test");
  if (!(alpha > 0 && alpha < 0.5)) {
    throw Error::make(ErrorKind::kUsage, "equivalence test: found alpha = {}, expected 0 to 0.5",
                      alpha);
  }
  if (!(margin.low < margin.high)) {
    throw Error::make(ErrorKind::kUsage,
                      "equivalence test: found the margin {} to {}, expected the low end first",
                      margin.low, margin.high);
  }
  Equivalence out{.margin = margin, .alpha = alpha, .method = method};
  if (count_nonzero(differences) == 0) {
    out.is_identical = true;
    out.is_equivalent = margin.low < 0 && 0 < margin.high;
    out.note = kIdenticalNote;
  }
  return out;
}

bool is_inside(const std::optional<Interval>& interval, Interval margin) {
  return interval && margin.low < interval->low && interval->high < margin.high;
}

}  // namespace

Equivalence tost_t(std::span<const double> differences, Interval margin, double alpha) {
  Equivalence out = start(differences, margin, alpha, "TOST, paired t");
  if (out.is_identical) return out;
  const PairedT t = paired_t(differences, 1 - 2 * alpha);
  out.mean = t.mean;
  if (!t.test.p) {
    out.note = t.test.note;
    return out;
  }
  out.interval = t.interval;
  out.p_lower = t_upper((t.mean - margin.low) / t.standard_error, t.df);
  out.p_upper = t_cdf((t.mean - margin.high) / t.standard_error, t.df);
  out.p = std::max(*out.p_lower, *out.p_upper);
  out.is_equivalent = *out.p < alpha;
  return out;
}

Equivalence tost_bootstrap(std::span<const double> differences, Interval margin, double alpha,
                           BootstrapOptions options) {
  Equivalence out = start(differences, margin, alpha, "TOST, bootstrap interval");
  if (out.is_identical) return out;
  options.confidence = 1 - 2 * alpha;
  const BootstrapResult bootstrap = bootstrap_mean(differences, options);
  out.mean = bootstrap.estimate;
  out.interval = bootstrap.interval;
  out.method += " (" + bootstrap.method + ")";
  out.note = bootstrap.note;
  out.is_equivalent = is_inside(out.interval, margin);
  return out;
}

}  // namespace ebb::stats
