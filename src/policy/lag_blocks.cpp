#include "policy/lag_blocks.h"

#include <algorithm>
#include <cmath>

#include "policy/vector_math.h"

namespace ebb::policy {

std::vector<double> lag_scores(std::span<const float> block, std::span<const float> reference,
                               size_t head_dim) {
  const size_t n = block.size() / head_dim;
  const size_t n_reference = reference.size() / head_dim;
  std::vector<float> low(reference.begin(), reference.begin() + static_cast<ptrdiff_t>(head_dim));
  std::vector<float> high = low;
  for (size_t t = 1; t < n_reference; ++t) {
    const float* cell = &reference[t * head_dim];
    for (size_t c = 0; c < head_dim; ++c) low[c] = std::min(low[c], cell[c]);
    for (size_t c = 0; c < head_dim; ++c) high[c] = std::max(high[c], cell[c]);
  }
  std::vector<double> inverse(head_dim, 0.0);  // of a channel that is constant: it counts 0
  for (size_t c = 0; c < head_dim; ++c) {
    if (high[c] != low[c]) inverse[c] = 1.0 / static_cast<double>(high[c] - low[c]);
  }
  std::vector<double> out(n);
  for (size_t t = 0; t < n; ++t) {
    const MeanAndSpread z = spread_of(block.subspan(t * head_dim, head_dim), low, inverse);
    out[t] = std::sqrt(z.square_sum / static_cast<double>(std::max<size_t>(1, head_dim - 1)));
  }
  const double sum = exponentiate(*std::max_element(out.begin(), out.end()), out);
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace ebb::policy
