// A second look at attention scores: how much a cell's value can change the layer's output.
// Source: CriticalKV, arXiv:2502.03805; the products without stages are an ablation of ours.
#pragma once

#include <span>
#include <vector>

#include "policy/treatment.h"
#include "policy/view.h"

namespace ebb::policy {

Needs needs_of(Refine refine);

// Mean over the group's query heads of the norm of W_o v of every cell of one head (|v|_2 for
// kValueNorm).  [n_cells]
// Cost: kCriticalL1 n * g * d * n_embd; 2-norms g * d * d * (n + n_embd).
std::vector<float> value_norms(Refine refine, const LayerView& view, const CacheShape& shape,
                               int head);

// (score + 1e-4) * norm.
std::vector<float> weighed(std::span<const float> score, std::span<const float> norms);

inline bool is_two_stage(Refine refine) {
  return refine == Refine::kCriticalL1 || refine == Refine::kCriticalL2;
}

}  // namespace ebb::policy
