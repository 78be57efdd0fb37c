// Sums in double over float vectors, so that scores do not depend on the order of cells beyond
// rounding.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace ebb::policy {

inline double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

inline double norm2(std::span<const float> x) { return std::sqrt(dot(x, x)); }

}  // namespace ebb::policy
