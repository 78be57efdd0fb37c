// Sums over float vectors for scores: in double, and of each vector by itself, so that a score
// depends neither on the order of cells nor on which others are there. SIMD inside; the order of a
// sum is that of the instruction set's lanes. A NaN that goes in comes out, but for lowest().
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace ebb::kernels {

// Requires: both of one length.
double dot(std::span<const float> a, std::span<const float> b);
double dot(std::span<const double> a, std::span<const float> b);
// sum += weight * x.
void add_scaled(double weight, std::span<const float> x, std::span<double> sum);
struct MeanAndSpread {
  double mean = 0.0;
  double square_sum = 0.0;
};
// Mean of (x - low) * inverse over the channels, and the sum of squared distances to it.
MeanAndSpread spread_of(std::span<const float> x, std::span<const float> low,
                        std::span<const double> inverse);
// out[t] = x_t^T M x_t for the rows of x. M x may be summed in float (where channels fill the
// vectors), the rest is in double.  Shape: upper [d, d], M's upper triangle with everything
// off the diagonal doubled and zeros below; x [d, n].
void quadratic_forms(std::span<const float> upper, std::span<const float> x, std::span<double> out);
// out[t] = |W x_t|_1 for the rows of x: W x in float, its magnitudes summed in double.
// Shape: weights [n_out, d], column c of W at c * n_out; x [d, n].
void projected_l1(std::span<const float> weights, std::span<const float> x, size_t n_out,
                  std::span<double> out);
// values[i] = exp(values[i] - most); minus infinity gives 0. Returns the sum.
double exponentiate(double most, std::span<double> values);
// The lowest value; infinity where there is none.  Requires: no NaN.
float lowest(std::span<const float> x);

inline double norm2(std::span<const float> x) { return std::sqrt(dot(x, x)); }

}  // namespace ebb::kernels
