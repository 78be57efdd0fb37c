#include "stats/descriptive.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "stats/distributions.h"

namespace ebb::stats {

Summary summarize(std::span<const double> values) {
  require_at_least(values.size(), 1, "summary");
  require_finite(values, "summary");
  Summary out{.n = values.size()};
  double sum = 0;
  for (const double value : values) sum += value;
  out.mean = sum / real(out.n);
  // The mean of equal values is that value; without this, rounding would invent a spread.
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  if (*least == *most) out.mean = *least;
  if (out.n < 2) return out;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.sd = std::sqrt(squares / real(out.n - 1));
  out.standard_error = out.sd / std::sqrt(real(out.n));
  return out;
}

std::optional<Interval> mean_interval_t(const Summary& summary, double confidence) {
  require_level(confidence, "confidence", "interval of a mean");
  if (summary.n < 2) return std::nullopt;
  const double half =
      t_quantile((1 + confidence) / 2, real(summary.n - 1)) * summary.standard_error;
  return Interval{summary.mean - half, summary.mean + half};
}

double quantile(std::span<const double> values, double p) {
  require_at_least(values.size(), 1, "quantile");
  require_finite(values, "quantile");
  if (!(p >= 0 && p <= 1)) {
    throw Error::make(ErrorKind::kUsage, "quantile: found p = {}, expected 0 <= p <= 1", p);
  }
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted_quantile(sorted, p);
}

double sorted_quantile(std::span<const double> sorted, double p) {
  const double place = p * real(sorted.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), sorted.size() - 1);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - real(below)) * (sorted[above] - sorted[below]);
}

}  // namespace ebb::stats
