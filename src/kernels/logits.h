// What the choice of the next token looks for among a vocabulary's logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ebb::kernels {

struct Peak {
  size_t index = 0;  // of the largest; the first of equals
  float value = 0.0F;
  bool all_finite = false;  // otherwise index and value mean nothing
};
// Requires: not empty.
Peak find_peak(std::span<const float> logits);

// The indices of all that are `least` or more, ascending, into `out`.
void find_at_least(std::span<const float> logits, float least, std::vector<int32_t>& out);

}  // namespace ebb::kernels
