#include "kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/error.h"

namespace ebb::kernels {

RopeTable::RopeTable(std::vector<float> frequencies, RotaryPairs pairs)
    : frequencies_(std::move(frequencies)), pairs_(pairs) {}

void RopeTable::reserve(RopePos last) {
  const size_t half = frequencies_.size();
  if (last.value < n_positions_) return;
  // Doubling keeps the cost of a growing sequence linear.
  const int32_t n = std::max(last.value + 1, 2 * n_positions_);
  cosines_.resize(half * static_cast<size_t>(n));
  sines_.resize(half * static_cast<size_t>(n));
  for (int32_t pos = n_positions_; pos < n; ++pos) {
    const size_t row = static_cast<size_t>(pos) * half;
    for (size_t i = 0; i < half; ++i) {
      // The angle is rounded to float before the cosine, as HF transformers does it.
      const float angle = static_cast<float>(pos) * frequencies_[i];
      cosines_[row + i] = std::cos(angle);
      sines_[row + i] = std::sin(angle);
    }
  }
  n_positions_ = n;
}

void RopeTable::rotate(const float* in, float* out, RopePos pos) const {
  const size_t half = frequencies_.size();
  const int32_t distance = std::abs(pos.value);
  EBB_DCHECK(distance < n_positions_);
  const float* cosine = cosines_.data() + static_cast<size_t>(distance) * half;
  const float* sine = sines_.data() + static_cast<size_t>(distance) * half;
  const float sign = pos.value < 0 ? -1.0F : 1.0F;
  const size_t step = pairs_ == RotaryPairs::kInterleaved ? 2 : 1;
  const size_t partner = pairs_ == RotaryPairs::kInterleaved ? 1 : half;
  for (size_t i = 0; i < half; ++i) {
    const float a = in[i * step];
    const float b = in[i * step + partner];
    const float s = sign * sine[i];
    out[i * step] = a * cosine[i] - b * s;
    out[i * step + partner] = b * cosine[i] + a * s;
  }
}

}  // namespace ebb::kernels
