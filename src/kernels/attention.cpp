// SIMD part of attend(), compiled once per instruction set (Highway). See attention.h for the
// promise.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention_state.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, kCellGroup>;
using Vec = hn::Vec<F32>;
constexpr int kRows = 4;   // query rows per pass: with 4 vectors each they fill the register file
constexpr int kUnits = 4;  // vectors of cells, or of channels, per pass

inline HWY_ATTR Vec load_numbers(F32 d, const float* p) { return hn::LoadU(d, p); }
inline HWY_ATTR Vec load_numbers(F32 d, const hwy::float16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, F32>(), p));
}
inline HWY_ATTR Vec load_numbers(F32 d, const hwy::bfloat16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, F32>(), p));
}
inline float load_number(const float* p) { return *p; }
inline float load_number(const hwy::float16_t* p) { return f16_to_f32(p->bits); }
inline float load_number(const hwy::bfloat16_t* p) { return bf16_to_f32(p->bits); }

// scores[r][i] of n_units vectors of cells: each lane sums over the channels in order.
template <typename T, int kN>
HWY_ATTR void score_units(const QueryRow* rows, int n_rows, const T* const* keys, int head_dim,
                          float* const* scores, const size_t* at) {
  const F32 d;
  Vec sum[kRows][kN];
  for (int r = 0; r < kRows; ++r) {
    for (int u = 0; u < kN; ++u) sum[r][u] = hn::Zero(d);
  }
  const float* q[kRows];
  for (int r = 0; r < kRows; ++r) q[r] = rows[std::min(r, n_rows - 1)].query;
  for (int c = 0; c < head_dim; ++c) {
    const size_t offset = static_cast<size_t>(c) * kCellGroup;
    Vec key[kN];
    for (int u = 0; u < kN; ++u) key[u] = load_numbers(d, keys[u] + offset);
    for (int r = 0; r < kRows; ++r) {
      const Vec x = hn::Set(d, q[r][c]);
      for (int u = 0; u < kN; ++u) sum[r][u] = hn::MulAdd(x, key[u], sum[r][u]);
    }
  }
  for (int r = 0; r < n_rows; ++r) {
    for (int u = 0; u < kN; ++u) hn::StoreU(sum[r][u], d, scores[r] + at[u]);
  }
}

template <typename T>
HWY_ATTR void score_groups(const AttentionShape& shape, const QueryRow* rows, int n_rows,
                           std::span<const CellGroup> groups, float* const* scores) {
  const F32 d;
  const size_t n_lanes = hn::Lanes(d);
  const size_t units_per_group = kCellGroup / n_lanes;
  const size_t n_units = groups.size() * units_per_group;
  const T* keys[kUnits];
  size_t at[kUnits];
  const auto locate = [&](size_t unit, int u) {
    const CellGroup& group = groups[unit / units_per_group];
    const size_t lane = unit % units_per_group * n_lanes;
    keys[u] = reinterpret_cast<const T*>(group.keys) + lane;
    at[u] = unit / units_per_group * kCellGroup + lane;
  };
  size_t unit = 0;
  for (; unit + kUnits <= n_units; unit += kUnits) {
    for (int u = 0; u < kUnits; ++u) locate(unit + static_cast<size_t>(u), u);
    score_units<T, kUnits>(rows, n_rows, keys, shape.head_dim, scores, at);
  }
  for (; unit < n_units; ++unit) {
    locate(unit, 0);
    score_units<T, 1>(rows, n_rows, keys, shape.head_dim, scores, at);
  }
}

// Scales the scores and sets what the row does not see to minus infinity.
HWY_ATTR void scale_and_mask(const AttentionShape& shape, const QueryRow& row,
                             std::span<const CellGroup> groups, float* scores) {
  const F32 d;
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const Vec scale = hn::Set(d, shape.scale);
  for (size_t i = 0; i < groups.size() * kCellGroup; i += hn::Lanes(d)) {
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + i), scale), d, scores + i);
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    const CellGroup& group = groups[g];
    float* s = scores + g * kCellGroup;
    if (shape.softcap > 0.0F) {
      for (uint32_t i = group.lane_begin; i < group.lane_end; ++i) {
        s[i] = shape.softcap * std::tanh(s[i] / shape.softcap);
      }
    }
    const uint32_t first = group.ordinals[group.lane_begin].value;
    const uint32_t last = group.ordinals[group.lane_end - 1].value;
    const uint32_t now = row.ordinal.value;
    const bool is_whole = group.lane_begin == 0 && group.lane_end == kCellGroup;
    const bool is_seen = last <= now && (shape.window == 0 || now - first < shape.window);
    if (is_whole && is_seen && group.hidden == nullptr) continue;
    for (uint32_t i = 0; i < kCellGroup; ++i) {
      bool sees = i >= group.lane_begin && i < group.lane_end;
      if (sees) {
        const uint32_t ordinal = group.ordinals[i].value;
        sees = ordinal <= now && (shape.window == 0 || now - ordinal < shape.window) &&
               (group.hidden == nullptr || group.hidden[i] == 0);
      }
      if (!sees) s[i] = kNever;
    }
  }
}

struct BlockSoftmax {
  float max = 0.0F;
  float sum = 0.0F;
};

// Turns scores into exp(score - max) in place. The sum runs over the lanes in order; masked lanes
// add 0.
HWY_ATTR BlockSoftmax exponentiate(float* scores, size_t n) {
  const F32 d;
  Vec top = hn::Set(d, -std::numeric_limits<float>::infinity());
  Vec poison = hn::Zero(d);  // NaN as soon as one score is NaN (0 * NaN), else 0
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const Vec s = hn::LoadU(d, scores + i);
    top = hn::Max(top, s);
    poison = hn::IfThenElse(hn::IsNaN(s), s, poison);
  }
  BlockSoftmax out;
  out.max = hn::GetLane(hn::MaxOfLanes(d, top));
  const float nan = hn::GetLane(hn::SumOfLanes(d, poison));
  if (std::isnan(nan)) {
    out.max = out.sum = nan;
    return out;
  }
  if (out.max == -std::numeric_limits<float>::infinity()) {
    std::fill(scores, scores + n, 0.0F);
    return out;
  }
  const Vec shift = hn::Set(d, out.max);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    hn::StoreU(hn::Exp(d, hn::Sub(hn::LoadU(d, scores + i), shift)), d, scores + i);
  }
  return out;
}

HWY_ATTR void sum_in_order(float* const* scores, int n_rows, size_t n, BlockSoftmax* out) {
  float sum[kRows] = {};
  const float* p[kRows];
  for (int r = 0; r < kRows; ++r) p[r] = scores[std::min(r, n_rows - 1)];
  for (size_t i = 0; i < n; ++i) {
    for (int r = 0; r < kRows; ++r) sum[r] += p[r][i];
  }
  for (int r = 0; r < n_rows; ++r) {
    if (!std::isnan(out[r].max)) out[r].sum = sum[r];
  }
}

// partial[r][channels] = sum over the cells, in order, of weight * value.
template <typename T, int kN>
HWY_ATTR void weigh_channels(std::span<const CellGroup> groups, float* const* weights, int n_rows,
                             size_t head_dim, size_t channel, float* partial) {
  const F32 d;
  const size_t n_lanes = hn::Lanes(d);
  Vec sum[kRows][kN];
  const float* p[kRows];
  for (int r = 0; r < kRows; ++r) {
    p[r] = weights[std::min(r, n_rows - 1)];
    for (int u = 0; u < kN; ++u) sum[r][u] = hn::Zero(d);
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    const CellGroup& group = groups[g];
    const T* values = reinterpret_cast<const T*>(group.values) + channel;
    for (size_t i = group.lane_begin; i < group.lane_end; ++i) {
      Vec value[kN];
      for (int u = 0; u < kN; ++u) {
        value[u] = load_numbers(d, values + i * head_dim + static_cast<size_t>(u) * n_lanes);
      }
      for (int r = 0; r < kRows; ++r) {
        const Vec weight = hn::Set(d, p[r][g * kCellGroup + i]);
        for (int u = 0; u < kN; ++u) sum[r][u] = hn::MulAdd(weight, value[u], sum[r][u]);
      }
    }
  }
  for (int r = 0; r < n_rows; ++r) {
    float* out = partial + static_cast<size_t>(r) * head_dim + channel;
    for (int u = 0; u < kN; ++u) hn::StoreU(sum[r][u], d, out + static_cast<size_t>(u) * n_lanes);
  }
}

template <typename T>
HWY_ATTR void weigh_values(const AttentionShape& shape, std::span<const CellGroup> groups,
                           float* const* weights, int n_rows, float* partial) {
  const F32 d;
  const size_t n_lanes = hn::Lanes(d);
  const size_t head_dim = static_cast<size_t>(shape.head_dim);
  size_t c = 0;
  for (; c + kUnits * n_lanes <= head_dim; c += kUnits * n_lanes) {
    weigh_channels<T, kUnits>(groups, weights, n_rows, head_dim, c, partial);
  }
  for (; c + n_lanes <= head_dim; c += n_lanes) {
    weigh_channels<T, 1>(groups, weights, n_rows, head_dim, c, partial);
  }
  for (; c < head_dim; ++c) {
    for (int r = 0; r < n_rows; ++r) {
      float sum = 0.0F;
      for (size_t g = 0; g < groups.size(); ++g) {
        const T* values = reinterpret_cast<const T*>(groups[g].values);
        for (size_t i = groups[g].lane_begin; i < groups[g].lane_end; ++i) {
          sum =
              std::fma(weights[r][g * kCellGroup + i], load_number(values + i * head_dim + c), sum);
        }
      }
      partial[static_cast<size_t>(r) * head_dim + c] = sum;
    }
  }
}

// Folds one block's result into the row's: blocks are merged in ordinal order.
HWY_ATTR void merge_block(const BlockSoftmax& block, const float* partial, size_t head_dim,
                          float& max, float& sum, float* out) {
  if (block.sum == 0.0F) return;  // nothing of this block is seen
  const F32 d;
  const float top = std::isnan(block.max) ? block.max : std::max(max, block.max);
  const float keep = std::exp(max - top);  // 0 for the first block, where max is -infinity
  const float add = std::exp(block.max - top);
  max = top;
  sum = std::fma(sum, keep, block.sum * add);
  size_t c = 0;
  const Vec keep_v = hn::Set(d, keep);
  const Vec add_v = hn::Set(d, add);
  for (; c + hn::Lanes(d) <= head_dim; c += hn::Lanes(d)) {
    const Vec part = hn::Mul(hn::LoadU(d, partial + c), add_v);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, out + c), keep_v, part), d, out + c);
  }
  for (; c < head_dim; ++c) out[c] = std::fma(out[c], keep, partial[c] * add);
}

// weights = exp(score - max) / sum, added as integers: the order of rows cannot matter.
HWY_ATTR void add_weights(const WeightSums& statistics, uint32_t target, float max, float sum,
                          std::span<const CellGroup> groups, const float* scores) {
  const F32 d;
  const hn::Rebind<int32_t, F32> di;
  const Vec shift = hn::Set(d, max);
  const Vec unit = hn::Set(d, 1.0F / (sum * WeightSums::kUnit));
  int64_t* sums = statistics.sums + target * statistics.stride;
  HWY_ALIGN int32_t lanes[kCellGroup];
  for (size_t g = 0; g < groups.size(); ++g) {
    const CellGroup& group = groups[g];
    for (size_t i = 0; i < kCellGroup; i += hn::Lanes(d)) {
      const Vec s = hn::LoadU(d, scores + g * kCellGroup + i);
      hn::StoreU(hn::NearestInt(hn::Mul(hn::Exp(d, hn::Sub(s, shift)), unit)), di, lanes + i);
    }
    int64_t* cell = sums + group.cell_index;
    for (uint32_t i = group.lane_begin; i < group.lane_end; ++i) *cell++ += lanes[i];
  }
}

template <typename T>
HWY_ATTR void attend_rows(const AttentionShape& shape, const QueryRow* rows, int n_rows,
                          AttentionScratch::State& state, const WeightSums& statistics,
                          size_t first_row) {
  const size_t head_dim = static_cast<size_t>(shape.head_dim);
  const bool keeps_scores = statistics.sums != nullptr;
  const size_t n_all = state.groups.size() * kCellGroup;
  float max[kRows];
  float sum[kRows] = {};
  for (int r = 0; r < n_rows; ++r) {
    max[r] = -std::numeric_limits<float>::infinity();
    std::fill(rows[r].out, rows[r].out + head_dim, 0.0F);
  }
  for (size_t b = 0; b + 1 < state.block_begin.size(); ++b) {
    const size_t begin = state.block_begin[b];
    const std::span<const CellGroup> groups(state.groups.data() + begin,
                                            state.block_begin[b + 1] - begin);
    const size_t n = groups.size() * kCellGroup;
    float* scores[kRows];
    BlockSoftmax blocks[kRows];
    for (int r = 0; r < kRows; ++r)
      scores[r] = state.scores.data() + static_cast<size_t>(r) * n_all;
    score_groups<T>(shape, rows, n_rows, groups, scores);
    for (int r = 0; r < n_rows; ++r) {
      scale_and_mask(shape, rows[r], groups, scores[r]);
      if (keeps_scores) {
        float* kept = state.scores.data() + (kRows + static_cast<size_t>(r)) * n_all;
        std::copy(scores[r], scores[r] + n, kept + begin * kCellGroup);
      }
      blocks[r] = exponentiate(scores[r], n);
    }
    sum_in_order(scores, n_rows, n, blocks);
    weigh_values<T>(shape, groups, scores, n_rows, state.partial.data());
    for (int r = 0; r < n_rows; ++r) {
      merge_block(blocks[r], state.partial.data() + static_cast<size_t>(r) * head_dim, head_dim,
                  max[r], sum[r], rows[r].out);
    }
  }
  for (int r = 0; r < n_rows; ++r) {
    if (sum[r] == 0.0F) continue;
    for (size_t c = 0; c < head_dim; ++c) rows[r].out[c] /= sum[r];
    if (!keeps_scores) continue;
    const uint32_t target = statistics.row_target[first_row + static_cast<size_t>(r)];
    if (target == WeightSums::kNoTarget) continue;
    add_weights(statistics, target, max[r], sum[r], state.groups,
                state.scores.data() + (kRows + static_cast<size_t>(r)) * n_all);
  }
}

HWY_ATTR void attend_all(const AttentionShape& shape, std::span<const QueryRow> rows,
                         AttentionScratch::State& state, const WeightSums& statistics) {
  for (size_t first = 0; first < rows.size(); first += kRows) {
    const int n = static_cast<int>(std::min<size_t>(kRows, rows.size() - first));
    switch (shape.type) {
      case CellType::kF32:
        attend_rows<float>(shape, &rows[first], n, state, statistics, first);
        break;
      case CellType::kF16:
        attend_rows<hwy::float16_t>(shape, &rows[first], n, state, statistics, first);
        break;
      case CellType::kBf16:
        attend_rows<hwy::bfloat16_t>(shape, &rows[first], n, state, statistics, first);
        break;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ebb::kernels {
namespace {

HWY_EXPORT(attend_all);

}  // namespace

AttentionScratch::AttentionScratch() : state_(std::make_unique<State>()) {}
AttentionScratch::~AttentionScratch() = default;
AttentionScratch::AttentionScratch(AttentionScratch&&) noexcept = default;
AttentionScratch& AttentionScratch::operator=(AttentionScratch&&) noexcept = default;

void attend(const AttentionShape& shape, std::span<const CellRun> runs,
            std::span<const QueryRow> rows, AttentionScratch& scratch,
            const WeightSums& statistics) {
  if (rows.empty()) return;
  uint32_t first_query = UINT32_MAX;
  uint32_t last_query = 0;
  for (const QueryRow& row : rows) {
    first_query = std::min(first_query, row.ordinal.value);
    last_query = std::max(last_query, row.ordinal.value);
  }
  const bool is_windowed = shape.window > 0 && first_query >= shape.window;
  const uint32_t first_seen = is_windowed ? first_query - shape.window + 1 : 0;
  AttentionScratch::State& state = scratch.state();
  state.collect_groups(shape, runs, first_seen, last_query);
  const size_t n_lanes = state.groups.size() * kCellGroup;
  const size_t n_buffers =
      statistics.sums != nullptr ? 8 : 4;  // raw scores are kept for statistics
  state.scores.resize(std::max(state.scores.size(), n_lanes * n_buffers));
  state.partial.resize(
      std::max(state.partial.size(), size_t{4} * static_cast<size_t>(shape.head_dim)));
  HWY_DYNAMIC_DISPATCH(attend_all)(shape, rows, state, statistics);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
