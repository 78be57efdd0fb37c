// LagKV's measure, shared by its recursive and its global form: how much a block's keys and values
// spread when scaled by the range of the block that follows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ebb::policy {

// u_t = softmax over the block of the standard deviation over channels (d - 1) of (x - min) / (max
// - min), min and max per channel over the reference block.  x, reference: [head_dim, n] Deviation:
// a channel that is constant over the reference block counts 0 (the formula divides by zero).
std::vector<double> lag_scores(std::span<const float> block, std::span<const float> reference,
                               size_t head_dim);

}  // namespace ebb::policy
