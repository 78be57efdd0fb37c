// Cuts runs of cells into what the SIMD part of attend() works on.
#include <algorithm>

#include "kernels/attention_state.h"

namespace ebb::kernels {

void AttentionScratch::State::collect_groups(const AttentionShape& shape,
                                             std::span<const CellRun> runs, uint32_t first_seen,
                                             uint32_t last_seen) {
  groups.clear();
  block_begin.clear();
  const size_t number_bytes = cell_type_bytes(shape.type);
  const size_t head_dim = static_cast<size_t>(shape.head_dim);
  uint32_t block = UINT32_MAX;
  uint32_t cell_index = 0;
  for (const CellRun& run : runs) {
    uint32_t cell = run.begin;
    if (run.end > run.begin && run.ordinals[run.end - 1].value < first_seen) cell = run.end;
    while (cell < run.end) {
      const uint32_t ordinal = run.ordinals[cell].value;
      if (ordinal > last_seen) break;
      const uint32_t base = cell / kCellGroup * kCellGroup;
      uint32_t end = std::min(base + kCellGroup, run.end);
      while (end > cell + 1 &&
             run.ordinals[end - 1].value / kOrdinalBlock != ordinal / kOrdinalBlock) {
        --end;
      }
      if (ordinal / kOrdinalBlock < first_seen / kOrdinalBlock) {  // a block that nobody wants
        cell = end;
        continue;
      }
      if (ordinal / kOrdinalBlock != block) {
        block = ordinal / kOrdinalBlock;
        block_begin.push_back(groups.size());
      }
      CellGroup group;
      group.keys = run.keys + base * head_dim * number_bytes;
      group.values = run.values + base * head_dim * number_bytes;
      group.ordinals = run.ordinals + base;
      group.hidden = run.hidden == nullptr ? nullptr : run.hidden + base;
      group.lane_begin = cell - base;
      group.lane_end = end - base;
      group.cell_index = cell_index + (cell - run.begin);
      groups.push_back(group);
      cell = end;
    }
    cell_index += run.end - run.begin;
  }
  block_begin.push_back(groups.size());
}

void AttentionScratch::State::reserve(const AttentionShape& shape, size_t n_rows,
                                      bool keeps_scores) {
  size_t n_groups_max = 0;
  for (size_t b = 0; b < n_blocks(); ++b) {
    n_groups_max = std::max(n_groups_max, block_begin[b + 1] - block_begin[b]);
  }
  const auto grow = [](std::vector<float>& v, size_t n) { v.resize(std::max(v.size(), n)); };
  grow(scores, n_groups_max * kCellGroup * n_rows);
  grow(partial, static_cast<size_t>(shape.head_dim) * n_rows);
  if (keeps_scores) grow(kept, groups.size() * kCellGroup * n_rows);
}

size_t n_cells_of(std::span<const CellRun> runs) {
  size_t n = 0;
  for (const CellRun& run : runs) n += run.end - run.begin;
  return n;
}

size_t n_blocks_at_most(std::span<const CellRun> runs) {
  size_t n = 0;
  uint32_t before = UINT32_MAX;
  for (const CellRun& run : runs) {
    if (run.begin == run.end) continue;
    const uint32_t first = run.ordinals[run.begin].value / kOrdinalBlock;
    const uint32_t last = run.ordinals[run.end - 1].value / kOrdinalBlock;
    n += last - first + (first == before ? 0 : 1);
    before = last;
  }
  return n;
}

}  // namespace ebb::kernels
