#include "stats/proportion.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "stats/distributions.h"

namespace ebb::stats {
namespace {

void check(size_t n_passed, size_t n, double confidence) {
  require_level(confidence, "confidence", "interval of a proportion");
  if (n > 0 && n_passed <= n) return;
  throw Error::make(ErrorKind::kInternal,
                    "interval of a proportion: found {} of {}, expected a part of at least one",
                    n_passed, n);
}

}  // namespace

Interval wilson_interval(size_t n_passed, size_t n, double confidence) {
  check(n_passed, n, confidence);
  const double z = normal_quantile((1 + confidence) / 2);
  const double share = real(n_passed) / real(n);
  const double scale = 1 + z * z / real(n);
  const double centre = share + z * z / (2 * real(n));
  const double half = z * std::sqrt((share * (1 - share) + z * z / (4 * real(n))) / real(n));
  Interval out{(centre - half) / scale, (centre + half) / scale};
  if (n_passed == 0) out.low = 0;  // exact ends, which rounding misses by a hair
  if (n_passed == n) out.high = 1;
  return out;
}

Interval clopper_pearson_interval(size_t n_passed, size_t n, double confidence) {
  check(n_passed, n, confidence);
  const double tail = (1 - confidence) / 2;
  const double passed = real(n_passed);
  const double failed = real(n - n_passed);
  return {n_passed == 0 ? 0.0 : beta_quantile(tail, passed, failed + 1),
          n_passed == n ? 1.0 : beta_quantile(1 - tail, passed + 1, failed)};
}

}  // namespace ebb::stats
