#include "policy/lag_blocks.h"

#include <algorithm>
#include <cmath>

namespace ebb::policy {

std::vector<double> lag_scores(std::span<const float> block, std::span<const float> reference,
                               size_t head_dim) {
  const size_t n = block.size() / head_dim;
  const size_t n_reference = reference.size() / head_dim;
  std::vector<float> low(head_dim);
  std::vector<float> range(head_dim);
  for (size_t c = 0; c < head_dim; ++c) {
    float least = reference[c];
    float most = reference[c];
    for (size_t t = 1; t < n_reference; ++t) {
      least = std::min(least, reference[t * head_dim + c]);
      most = std::max(most, reference[t * head_dim + c]);
    }
    low[c] = least;
    range[c] = most - least;
  }
  std::vector<double> out(n);
  std::vector<double> z(head_dim);
  for (size_t t = 0; t < n; ++t) {
    double mean = 0.0;
    for (size_t c = 0; c < head_dim; ++c) {
      z[c] =
          range[c] != 0.0F ? static_cast<double>(block[t * head_dim + c] - low[c]) / range[c] : 0.0;
      mean += z[c];
    }
    mean /= static_cast<double>(head_dim);
    double square = 0.0;
    for (const double value : z) square += (value - mean) * (value - mean);
    out[t] = std::sqrt(square / static_cast<double>(std::max<size_t>(1, head_dim - 1)));
  }
  const double most = *std::max_element(out.begin(), out.end());
  double sum = 0.0;
  for (double& value : out) sum += value = std::exp(value - most);
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace ebb::policy
