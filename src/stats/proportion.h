// Intervals of a single proportion.
#pragma once

#include <cstddef>

#include "stats/checks.h"

namespace ebb::stats {

// Wilson's score interval (1927), without continuity correction.  Throws: kInternal when n is 0 or
// n_passed > n.
Interval wilson_interval(size_t n_passed, size_t n, double confidence = 0.95);

// The exact interval of Clopper and Pearson (1934): never too short, often too long.
Interval clopper_pearson_interval(size_t n_passed, size_t n, double confidence = 0.95);

}  // namespace ebb::stats
