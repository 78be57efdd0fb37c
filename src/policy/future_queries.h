// The distribution of queries averaged over a run of future positions: rotation of the average, as
// expected attention uses it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ebb::policy {

struct FutureQueries {
  std::vector<double> mean;  // [head_dim]
  // [head_dim, head_dim] upper triangle of the covariance S, all off the diagonal doubled, zeros
  // below: what quadratic_forms() takes.
  std::vector<float> upper;
};

// Mean of the RoPE rotations of positions [first, first + n): a pair (i, i + d/2) is turned by its
// mean cosine and sine.
class MeanRotation {
 public:
  // frequencies: [head_dim / 2] radians per position.
  MeanRotation(std::span<const float> frequencies, int64_t first, int64_t n);

  // mean: [head_dim]; covariance: [head_dim, head_dim].
  FutureQueries apply(std::span<const float> mean, std::span<const float> covariance) const;

 private:
  std::vector<double> cosine_;
  std::vector<double> sine_;
};

}  // namespace ebb::policy
