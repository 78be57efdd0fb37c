// Standardised effect sizes of paired differences.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "stats/checks.h"

namespace ebb::stats {

struct PairedEffect {
  double d_z = 0;       // mean / sd of the differences
  double hedges_g = 0;  // d_z times the exact small-sample correction J(n - 1)
  Interval d_z_interval = {};
  Interval hedges_g_interval = {};  // the interval of d_z times J
  std::string interval_method = {};
};

// Interval: noncentral t, inverted, divided by sqrt(n); exact for normal differences. Beyond a
// noncentrality of 200 the normal approximation of Johnson and Kraemer takes its place.
// Nothing where it is not defined: fewer than two differences, or all equal.
// Throws: kInternal for NaN.
std::optional<PairedEffect> paired_effect(std::span<const double> differences,
                                          double confidence = 0.95);

}  // namespace ebb::stats
