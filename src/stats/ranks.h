// Ranks with ties, for the rank tests.
#pragma once

#include <span>
#include <vector>

namespace ebb::stats {

struct Ranks {
  std::vector<double> of;  // rank of each value from 1; tied values share the mean of their ranks
  double tie_cubes = 0;    // sum over groups of tied values of t^3 - t
  bool has_ties = false;
};

// Requires: no NaN.
Ranks average_ranks(std::span<const double> values);

}  // namespace ebb::stats
