// What a sample looks like: mean, spread, quantiles, interval of the mean by Student's t.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "stats/checks.h"

namespace ebb::stats {

struct Summary {
  size_t n = 0;
  double mean = 0;
  double sd = 0;              // with n - 1; 0 for a single value
  double standard_error = 0;  // sd / sqrt(n)
};

// Requires: at least one value.  Throws: kInternal for none, or NaN.
Summary summarize(std::span<const double> values);

// mean -+ t(n - 1) * se; nothing where n < 2.
std::optional<Interval> mean_interval_t(const Summary& summary, double confidence = 0.95);

// Type 7 of Hyndman and Fan (1996): linear between order statistics, as R and numpy by default.
// Throws: kInternal for no value or NaN; kUsage unless 0 <= p <= 1.
double quantile(std::span<const double> values, double p);
// The same for values that are sorted already; nothing is checked.
double sorted_quantile(std::span<const double> sorted, double p);

}  // namespace ebb::stats
