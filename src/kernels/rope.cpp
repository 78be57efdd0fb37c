#include "kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;

// Turns the pairs in[i * step], in[i * step + partner]; sign: of the sines. Products are rounded
// before they are added, on every instruction set.
HWY_ATTR void turn_pairs(const float* in, const float* cosine, const float* sine, float sign,
                         size_t half, bool is_interleaved, float* out) {
  const F32 d;
  const auto sign_v = hn::Set(d, sign);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= half; i += hn::Lanes(d)) {
    auto a = hn::Zero(d);
    auto b = hn::Zero(d);
    if (is_interleaved) {
      hn::LoadInterleaved2(d, in + 2 * i, a, b);
    } else {
      a = hn::LoadU(d, in + i);
      b = hn::LoadU(d, in + i + half);
    }
    const auto c = hn::LoadU(d, cosine + i);
    const auto s = hn::Mul(sign_v, hn::LoadU(d, sine + i));
    const auto first = hn::Sub(hn::Mul(a, c), hn::Mul(b, s));
    const auto second = hn::Add(hn::Mul(b, c), hn::Mul(a, s));
    if (is_interleaved) {
      hn::StoreInterleaved2(first, second, d, out + 2 * i);
    } else {
      hn::StoreU(first, d, out + i);
      hn::StoreU(second, d, out + i + half);
    }
  }
  const size_t step = is_interleaved ? 2 : 1;
  const size_t partner = is_interleaved ? 1 : half;
  for (; i < half; ++i) {
    const float a = in[i * step];
    const float b = in[i * step + partner];
    const float s = sign * sine[i];
    out[i * step] = a * cosine[i] - b * s;
    out[i * step + partner] = b * cosine[i] + a * s;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ebb::kernels {
namespace {
HWY_EXPORT(turn_pairs);
}  // namespace

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
  HWY_DYNAMIC_DISPATCH(turn_pairs)
  (in, cosine, sine, sign, half, pairs_ == RotaryPairs::kInterleaved, out);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
