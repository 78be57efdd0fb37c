#include "engine/model_rope.h"

#include <cmath>
#include <vector>

namespace ebb::engine {
namespace {

std::vector<float> rope_frequencies(const model::RopeSpec& spec, int head_dim) {
  std::vector<float> out;
  for (int i = 0; i < head_dim / 2; ++i) {
    double f = std::pow(static_cast<double>(spec.base), -2.0 * i / head_dim) * spec.position_scale;
    if (!spec.freq_factors.empty()) f /= spec.freq_factors[static_cast<size_t>(i)];
    out.push_back(static_cast<float>(f));
  }
  return out;
}

}  // namespace

kernels::RopeTable make_rope(const model::RopeSpec& spec, const model::ModelConfig& config) {
  const bool is_interleaved = config.rope_layout == model::RopeLayout::kInterleaved;
  return {rope_frequencies(spec, config.head_dim),
          is_interleaved ? kernels::RotaryPairs::kInterleaved : kernels::RotaryPairs::kHalfSplit};
}

}  // namespace ebb::engine
