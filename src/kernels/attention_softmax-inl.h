// SIMD parts of attention.cpp: from raw scores of one row over one ordinal block to exp(score -
// max). Compiled once per instruction set (Highway), so it has no include guard of the usual kind.
#if defined(EBB_KERNELS_ATTENTION_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EBB_KERNELS_ATTENTION_SOFTMAX_INL_H_
#undef EBB_KERNELS_ATTENTION_SOFTMAX_INL_H_
#else
#define EBB_KERNELS_ATTENTION_SOFTMAX_INL_H_
#endif

#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention_state.h"
#include "kernels/attention_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Sets what the row does not see of a group to minus infinity.
HWY_ATTR inline void mask_group(const AttentionShape& shape, uint32_t now, const CellGroup& group,
                                float* scores) {
  const bool is_whole = group.lane_begin == 0 && group.lane_end == kCellGroup;
  const bool is_seen = group.last <= now && (shape.window == 0 || now - group.first < shape.window);
  if (is_whole && is_seen && group.hidden == nullptr) return;
  for (uint32_t i = 0; i < kCellGroup; ++i) {
    bool sees = i >= group.lane_begin && i < group.lane_end;
    if (sees) {
      const uint32_t ordinal = group.ordinal_at(i);
      sees = ordinal <= now && (shape.window == 0 || now - ordinal < shape.window) &&
             (group.hidden == nullptr || group.hidden[i] == 0);
    }
    if (!sees) scores[i] = kNever;
  }
}

// What the groups of a block have in common.
struct BlockExtent {
  bool is_plain = true;  // every lane of every group is a cell, none hidden
  uint32_t first = UINT32_MAX;
  uint32_t last = 0;

  explicit BlockExtent(std::span<const CellGroup> groups) {
    for (const CellGroup& group : groups) {
      is_plain = is_plain && group.lane_begin == 0 && group.lane_end == kCellGroup &&
                 group.hidden == nullptr;
      first = std::min(first, group.first);
      last = std::max(last, group.last);
    }
  }
  bool is_all_seen(const AttentionShape& shape, uint32_t now) const {
    return is_plain && last <= now && (shape.window == 0 || now - first < shape.window);
  }
};

// Scales and masks the scores; returns their largest, or NaN where one is.
HWY_ATTR inline float scale_and_mask(const AttentionShape& shape, const QueryRow& row,
                                     std::span<const CellGroup> groups, const BlockExtent& extent,
                                     float* scores) {
  const F32 d;
  const Vec scale = hn::Set(d, shape.scale);
  const size_t n = groups.size() * kCellGroup;
  const bool is_simple = shape.softcap <= 0.0F && extent.is_all_seen(shape, row.ordinal.value);
  if (!is_simple) {
    for (size_t i = 0; i < n; i += hn::Lanes(d)) {
      hn::StoreU(hn::Mul(hn::LoadU(d, scores + i), scale), d, scores + i);
    }
    for (size_t g = 0; g < groups.size(); ++g) {
      float* s = scores + g * kCellGroup;
      for (uint32_t i = groups[g].lane_begin; shape.softcap > 0.0F && i < groups[g].lane_end; ++i) {
        s[i] = shape.softcap * std::tanh(s[i] / shape.softcap);
      }
      mask_group(shape, row.ordinal.value, groups[g], s);
    }
  }
  const Vec factor = is_simple ? scale : hn::Set(d, 1.0F);
  Vec top = hn::Set(d, kNever);
  Vec poison = hn::Zero(d);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const Vec x = hn::Mul(hn::LoadU(d, scores + i), factor);
    hn::StoreU(x, d, scores + i);
    top = hn::Max(top, x);
    poison = hn::IfThenElse(hn::IsNaN(x), x, poison);
  }
  const float nan = hn::GetLane(hn::SumOfLanes(d, poison));
  return std::isnan(nan) ? nan : hn::GetLane(hn::MaxOfLanes(d, top));
}

// Turns scores into exp(score - max) in place; those that are not seen become 0.
HWY_ATTR inline void exponentiate(float max, size_t n, float* scores) {
  if (std::isnan(max)) return;
  if (max == kNever) {
    std::fill(scores, scores + n, 0.0F);
    return;
  }
  const F32 d;
  const Vec shift = hn::Set(d, max);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    hn::StoreU(hn::Exp(d, hn::Sub(hn::LoadU(d, scores + i), shift)), d, scores + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#endif
