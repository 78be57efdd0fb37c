#include "stats/checks.h"

#include <cmath>

#include "base/error.h"

namespace ebb::stats {

void require_finite(std::span<const double> values, std::string_view where) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw Error::make(ErrorKind::kInternal,
                      "{}: found {} as value {} of {}, expected finite numbers", where, values[i],
                      i, values.size());
  }
}

void require_same_size(size_t a, size_t b, std::string_view where) {
  if (a == b) return;
  throw Error::make(ErrorKind::kInternal, "{}: found {} and {} values, expected as many of each",
                    where, a, b);
}

void require_at_least(size_t n, size_t n_min, std::string_view where) {
  if (n >= n_min) return;
  throw Error::make(ErrorKind::kInternal, "{}: found {} values, expected at least {}", where, n,
                    n_min);
}

void require_level(double value, std::string_view name, std::string_view where) {
  if (value > 0 && value < 1) return;
  throw Error::make(ErrorKind::kUsage, "{}: found {} = {}, expected a number between 0 and 1",
                    where, name, value);
}

}  // namespace ebb::stats
