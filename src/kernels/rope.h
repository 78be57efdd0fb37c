// Rotary position embedding: angle tables and the rotation of one head.
// Source: Su et al., RoFormer, arXiv:2104.09864; frequency scaling as in HF transformers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"

namespace ebb::kernels {

// Channels 2i and 2i+1 turn together, or i and i + head_dim/2.
enum class RotaryPairs { kInterleaved, kHalfSplit };

// Cosines and sines for positions 0..n-1, grown on demand.
class RopeTable {
 public:
  // frequencies: [head_dim / 2] radians per position.
  RopeTable(std::vector<float> frequencies, RotaryPairs pairs);

  // Makes positions up to and including `last` ready.  Threads: not while others rotate.
  void reserve(RopePos last);

  // out = in turned to `pos` (or by a difference of positions, which may be negative). in may be
  // out. Requires: |pos| was reserved.  Shape: [head_dim].
  void rotate(const float* in, float* out, RopePos pos) const;

  std::span<const float> frequencies() const { return frequencies_; }
  RotaryPairs pairs() const { return pairs_; }

 private:
  std::vector<float> frequencies_;
  RotaryPairs pairs_;
  std::vector<float> cosines_;  // [head_dim / 2, n_positions]
  std::vector<float> sines_;
  int32_t n_positions_ = 0;
};

}  // namespace ebb::kernels
