// Blocks of attend() and their merging, statistics, compiled once per instruction set
// (Highway). See attention.h for the promise.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention_state.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "kernels/attention_softmax-inl.h"
#include "kernels/attention_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {

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
  if (out == nullptr) return;
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
  const hn::CappedTag<int64_t, kCellGroup> dl;
  const hn::Rebind<int32_t, decltype(dl)> half;
  HWY_ALIGN int32_t lanes[kCellGroup];
  for (size_t g = 0; g < groups.size(); ++g) {
    const CellGroup& group = groups[g];
    for (size_t i = 0; i < kCellGroup; i += hn::Lanes(d)) {
      const Vec s = hn::LoadU(d, scores + g * kCellGroup + i);
      hn::StoreU(hn::NearestInt(hn::Mul(hn::Exp(d, hn::Sub(s, shift)), unit)), di, lanes + i);
    }
    int64_t* cell = sums + group.cell_index;
    if (group.lane_begin == 0 && group.lane_end == kCellGroup) {
      for (size_t i = 0; i < kCellGroup; i += hn::Lanes(dl)) {
        const auto more = hn::PromoteTo(dl, hn::LoadU(half, lanes + i));
        hn::StoreU(hn::Add(hn::LoadU(dl, cell + i), more), dl, cell + i);
      }
      continue;
    }
    for (uint32_t i = group.lane_begin; i < group.lane_end; ++i) *cell++ += lanes[i];
  }
}

void spoil_weights(const WeightSums& statistics, uint32_t target,
                   std::span<const CellGroup> groups) {
  for (const CellGroup& group : groups) {
    int64_t* cell = statistics.sums + target * statistics.stride + group.cell_index;
    std::fill_n(cell, group.lane_end - group.lane_begin, WeightSums::kNotANumber);
  }
}

// The rows' softmax and weighted values over one ordinal block, into state.of_block
// and state.partial. `kept` takes the scores before the softmax, or is null.
template <typename T>
HWY_ATTR void attend_block(const AttentionShape& shape, std::span<const QueryRow> rows,
                           size_t block, RowsAt kept, AttentionScratch::State& state) {
  const std::span<const CellGroup> groups = state.groups_of(block);
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  const size_t n = groups.size() * kCellGroup;
  const RowsAt scores{state.scores.data(), n};
  const float* queries[kRowsAtOnce] = {};
  for (size_t r = 0; r < rows.size(); ++r) queries[r] = rows[r].query;
  score_block<T>(queries, rows.size(), head_dim, groups, state.ahead_of_keys(block),
                 state.tile.data(), scores);
  const BlockExtent extent(groups);
  for (size_t r = 0; r < rows.size(); ++r) {
    float* row = scores.first + r * n;
    state.of_block[r].max = scale_and_mask(shape, rows[r], groups, extent, row);
    if (kept.first != nullptr) std::copy(row, row + n, kept.first + r * kept.stride);
    exponentiate(state.of_block[r].max, n, row);
  }
  float sums[kRowsAtOnce] = {};
  if (rows.front().out == nullptr) {
    sum_weights(n, rows.size(), scores, sums);
  } else {
    weigh_block<T>({groups, head_dim, state.ahead_of_values(block)}, rows.size(), scores,
                   state.tile.data(), {state.partial.data(), head_dim}, sums);
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    BlockSoftmax& softmax = state.of_block[r];
    softmax.sum = std::isnan(softmax.max) ? softmax.max : sums[r];
  }
}

HWY_ATTR void attend_block_of(const AttentionShape& shape, std::span<const QueryRow> rows,
                              size_t block, RowsAt kept, AttentionScratch::State& state) {
  switch (shape.type) {
    case CellType::kF32:
      return attend_block<float>(shape, rows, block, kept, state);
    case CellType::kF16:
      return attend_block<hwy::float16_t>(shape, rows, block, kept, state);
    case CellType::kBf16:
      return attend_block<hwy::bfloat16_t>(shape, rows, block, kept, state);
  }
}

// One block's results into what the rows have so far.
HWY_ATTR void merge_rows(std::span<const QueryRow> rows, const BlockSoftmax* block,
                         const float* partial, size_t head_dim, BlockSoftmax* all) {
  for (size_t r = 0; r < rows.size(); ++r) {
    merge_block(block[r], partial + r * head_dim, head_dim, all[r].max, all[r].sum, rows[r].out);
  }
}

HWY_ATTR void begin_rows(std::span<const QueryRow> rows, size_t head_dim, BlockSoftmax* all) {
  for (size_t r = 0; r < rows.size(); ++r) {
    all[r] = {kNever, 0.0F};
    if (rows[r].out != nullptr) std::fill(rows[r].out, rows[r].out + head_dim, 0.0F);
  }
}

HWY_ATTR void finish_rows(std::span<const QueryRow> rows, size_t head_dim,
                          const BlockSoftmax* all) {
  for (size_t r = 0; r < rows.size(); ++r) {
    if (all[r].sum == 0.0F || rows[r].out == nullptr) continue;
    for (size_t c = 0; c < head_dim; ++c) rows[r].out[c] /= all[r].sum;
  }
}

// The rows over all groups that were collected, from state.so_far[first_row] on.
HWY_ATTR void attend_groups(const AttentionShape& shape, std::span<const QueryRow> rows,
                            size_t first_row, bool keeps_scores, AttentionScratch::State& state) {
  const size_t n_all = state.groups.size() * kCellGroup;
  for (size_t b = 0; b < state.n_blocks(); ++b) {
    const RowsAt kept{
        keeps_scores ? state.kept.data() + state.block_begin[b] * kCellGroup : nullptr, n_all};
    attend_block_of(shape, rows, b, kept, state);
    merge_rows(rows, state.of_block.data(), state.partial.data(),
               static_cast<size_t>(shape.head_dim), &state.so_far[first_row]);
  }
}

HWY_ATTR void attend_rows(const AttentionShape& shape, std::span<const QueryRow> rows,
                          const WeightSums& statistics, std::span<const uint32_t> targets,
                          AttentionScratch::State& state) {
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  const bool keeps_scores = statistics.sums != nullptr;
  begin_rows(rows, head_dim, state.so_far.data());
  attend_groups(shape, rows, 0, keeps_scores, state);
  finish_rows(rows, head_dim, state.so_far.data());
  if (!keeps_scores) return;
  for (size_t r = 0; r < rows.size(); ++r) {
    const BlockSoftmax& all = state.so_far[r];
    if (all.sum == 0.0F || targets[r] == WeightSums::kNoTarget) continue;
    if (std::isnan(all.sum)) {
      spoil_weights(statistics, targets[r], state.groups);
      continue;
    }
    add_weights(statistics, targets[r], all.max, all.sum, state.groups,
                state.kept.data() + r * state.groups.size() * kCellGroup);
  }
}

HWY_ATTR void attend_blocks(const AttentionShape& shape, std::span<const QueryRow> rows,
                            size_t first_block, size_t end_block, BlockResults& results,
                            AttentionScratch::State& state) {
  const size_t n = rows.size();
  const size_t n_numbers = n * static_cast<size_t>(shape.head_dim);
  for (size_t b = first_block; b < end_block; ++b) {
    attend_block_of(shape, rows, b, {nullptr, 0}, state);
    std::copy_n(state.of_block.data(), n, &results.softmax[b * n]);
    std::copy_n(state.partial.data(), n_numbers, &results.partial[b * n_numbers]);
  }
}

HWY_ATTR void merge_results(std::span<const QueryRow> rows, size_t head_dim,
                            const BlockResults& results) {
  const size_t n = rows.size();
  BlockSoftmax all[kRowsAtOnce];
  begin_rows(rows, head_dim, all);
  for (size_t b = 0; b < results.n_blocks.load(std::memory_order_relaxed); ++b) {
    merge_rows(rows, &results.softmax[b * n], &results.partial[b * n * head_dim], head_dim, all);
  }
  finish_rows(rows, head_dim, all);
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/error.h"

namespace ebb::kernels {
namespace {

HWY_EXPORT(attend_rows);
HWY_EXPORT(attend_groups);
HWY_EXPORT(attend_blocks);
HWY_EXPORT(begin_rows);
HWY_EXPORT(finish_rows);
HWY_EXPORT(merge_results);

struct Ordinals {
  uint32_t first_seen;
  uint32_t last_seen;
};

// Which cells some row can see.
Ordinals seen_by(const AttentionShape& shape, std::span<const QueryRow> rows) {
  uint32_t first_query = UINT32_MAX;
  uint32_t last_query = 0;
  for (const QueryRow& row : rows) {
    first_query = std::min(first_query, row.ordinal.value);
    last_query = std::max(last_query, row.ordinal.value);
  }
  const bool is_windowed = shape.window > 0 && first_query >= shape.window;
  return {is_windowed ? first_query - shape.window + 1 : 0, last_query};
}

}  // namespace

AttentionScratch::AttentionScratch() : state_(std::make_unique<State>()) {}
AttentionScratch::~AttentionScratch() = default;
AttentionScratch::AttentionScratch(AttentionScratch&&) noexcept = default;
AttentionScratch& AttentionScratch::operator=(AttentionScratch&&) noexcept = default;

void BlockResults::reserve(size_t n_blocks_max, size_t n_rows, size_t head_dim) {
  softmax.resize(std::max(softmax.size(), n_blocks_max * n_rows));
  partial.resize(std::max(partial.size(), n_blocks_max * n_rows * head_dim));
}

void attend(const AttentionShape& shape, std::span<const CellRun> runs,
            std::span<const QueryRow> rows, AttentionScratch& scratch,
            const WeightSums& statistics) {
  if (rows.empty()) return;
  const Ordinals seen = seen_by(shape, rows);
  AttentionScratch::State& state = scratch.state();
  state.collect_groups(shape, runs, seen.first_seen, seen.last_seen);
  const bool has_sums = statistics.sums != nullptr;
  const size_t n_most = has_sums ? kRowsWithSums : kRowsAtOnce;
  state.reserve(shape, std::min(n_most, rows.size()), has_sums);
  for (size_t first = 0; first < rows.size(); first += n_most) {
    const auto some = rows.subspan(first, std::min(n_most, rows.size() - first));
    const auto targets =
        has_sums ? statistics.row_target.subspan(first, some.size()) : statistics.row_target;
    HWY_DYNAMIC_DISPATCH(attend_rows)(shape, some, statistics, targets, state);
  }
}

void attend_shared(const AttentionShape& shape, std::span<const AttentionMember> members,
                   uint32_t n_shared, AttentionScratch& scratch) {
  AttentionScratch::State& state = scratch.state();
  std::vector<QueryRow>& rows = state.rows;
  rows.clear();
  for (const AttentionMember& member : members) {
    rows.insert(rows.end(), member.rows.begin(), member.rows.end());
  }
  if (rows.empty()) return;
  EBB_CHECK(rows.size() <= kAttentionRows && n_shared % kOrdinalBlock == 0);
  const std::span<const CellRun> after = state.expected;
  const uint32_t after_first = state.expected_first;
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  const Ordinals seen = seen_by(shape, rows);
  HWY_DYNAMIC_DISPATCH(begin_rows)(rows, head_dim, state.so_far.data());
  if (n_shared > 0) {
    scratch.expect(members.front().runs, n_shared);
    state.collect_groups(shape, members.front().runs, seen.first_seen,
                         std::min(seen.last_seen, n_shared - 1));
    state.reserve(shape, rows.size(), false);
    HWY_DYNAMIC_DISPATCH(attend_groups)(shape, rows, 0, false, state);
  }
  size_t first_row = 0;
  for (size_t m = 0; m < members.size(); ++m) {
    const AttentionMember& member = members[m];
    if (member.rows.empty()) continue;
    const bool is_last = m + 1 == members.size();
    scratch.expect(is_last ? after : members[m + 1].runs, is_last ? after_first : n_shared);
    const Ordinals own = seen_by(shape, member.rows);
    state.collect_groups(shape, member.runs, std::max(own.first_seen, n_shared), own.last_seen);
    state.reserve(shape, member.rows.size(), false);
    HWY_DYNAMIC_DISPATCH(attend_groups)(shape, member.rows, first_row, false, state);
    first_row += member.rows.size();
  }
  HWY_DYNAMIC_DISPATCH(finish_rows)(rows, head_dim, state.so_far.data());
}

void attend_part(const AttentionShape& shape, std::span<const CellRun> runs,
                 std::span<const QueryRow> rows, size_t part, size_t n_parts, BlockResults& results,
                 AttentionScratch& scratch) {
  EBB_CHECK(!rows.empty() && rows.size() <= kAttentionRows);
  const Ordinals seen = seen_by(shape, rows);
  AttentionScratch::State& state = scratch.state();
  state.collect_groups(shape, runs, seen.first_seen, seen.last_seen);
  state.reserve(shape, rows.size(), false);
  const size_t n = state.n_blocks();
  results.n_blocks.store(n, std::memory_order_relaxed);
  HWY_DYNAMIC_DISPATCH(attend_blocks)
  (shape, rows, n * part / n_parts, n * (part + 1) / n_parts, results, state);
}

void merge_parts(const AttentionShape& shape, std::span<const QueryRow> rows,
                 const BlockResults& results) {
  HWY_DYNAMIC_DISPATCH(merge_results)(rows, static_cast<size_t>(shape.head_dim), results);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
