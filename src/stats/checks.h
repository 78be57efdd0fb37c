// Shared by everything in stats/: intervals, refusal of NaN, and checks of levels and sizes.
// A NaN or infinite score is an error of whoever made it and never takes part in a mean.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ebb::stats {

// A confidence interval; one end may be infinite.
struct Interval {
  double low = 0;
  double high = 0;
};

constexpr double real(size_t n) { return static_cast<double>(n); }

// Throws: kInternal with the place of the first value that is NaN or infinite.
void require_finite(std::span<const double> values, std::string_view where);
// Throws: kInternal when the sizes differ.
void require_same_size(size_t a, size_t b, std::string_view where);
// Throws: kInternal when there are fewer than `n_min` values.
void require_at_least(size_t n, size_t n_min, std::string_view where);
// For alpha, confidence, power.  Throws: kUsage unless 0 < value < 1.
void require_level(double value, std::string_view name, std::string_view where);

}  // namespace ebb::stats
