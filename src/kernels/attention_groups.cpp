// Cuts runs of cells into what the SIMD part of attend() works on.
#include <algorithm>
#include <array>

#include "kernels/attention_state.h"

namespace ebb::kernels {

void AttentionScratch::State::collect_groups(const AttentionShape& shape,
                                             std::span<const CellRun> runs, uint32_t first_seen,
                                             uint32_t last_seen) {
  groups.clear();
  block_begin.clear();
  const size_t key_bytes = static_cast<size_t>(shape.head_dim) * cell_type_bytes(shape.type);
  uint32_t block = UINT32_MAX;
  uint32_t cell_index = 0;
  for (const CellRun& run : runs) {
    uint32_t cell = run.begin;
    if (run.last.value < first_seen) cell = run.end;
    while (cell < run.end) {
      const uint32_t ordinal = run.ordinal_at(cell);
      if (ordinal > last_seen) break;
      const uint32_t base = cell / kCellGroup * kCellGroup;
      uint32_t end = std::min(base + kCellGroup, run.end);
      while (end > cell + 1 && run.ordinal_at(end - 1) / kOrdinalBlock != ordinal / kOrdinalBlock) {
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
      group.keys = run.keys + base * key_bytes;
      group.values = run.values + base * key_bytes;
      group.hidden = run.hidden == nullptr ? nullptr : run.hidden + base;
      group.run = &run;
      group.base = base;
      group.lane_begin = cell - base;
      group.lane_end = end - base;
      group.cell_index = cell_index + (cell - run.begin);
      group.first = ordinal;
      group.last = run.ordinal_at(end - 1);
      groups.push_back(group);
      cell = end;
    }
    cell_index += run.end - run.begin;
  }
  block_begin.push_back(groups.size());
  put_in_order(key_bytes);
}

void AttentionScratch::expect(std::span<const CellRun> runs, uint32_t first) {
  state_->expected = runs;
  state_->expected_first = first;
}

void AttentionScratch::State::put_in_order(size_t cell_key_bytes) {
  order.clear();
  for (size_t b = 0; b < n_blocks(); ++b) {
    for (const CellGroup& group : groups_of(b)) order.push_back(group.keys);
    for (const CellGroup& group : groups_of(b)) order.push_back(group.values);
  }
  // The first block of what comes next, as far as runs tell without their ordinals.
  const size_t n_own = order.size();
  std::array<const std::byte*, kLead> values{};
  size_t n = 0;
  uint32_t block = UINT32_MAX;
  for (const CellRun& run : expected) {
    if (run.last.value < expected_first) continue;
    const uint32_t n_before =
        run.first.value < expected_first && !run.has_gaps() ? expected_first - run.first.value : 0;
    uint32_t base = (run.begin + n_before) / kCellGroup * kCellGroup;
    for (; base < run.end && n < kLead; base += kCellGroup) {
      const uint32_t n_cells = std::max(base, run.begin) - run.begin;
      const uint32_t here =
          (run.has_gaps() ? run.first.value : run.first.value + n_cells) / kOrdinalBlock;
      if (n > 0 && here != block) break;
      block = here;
      order.push_back(run.keys + base * cell_key_bytes);
      values[n++] = run.values + base * cell_key_bytes;
    }
    if (base < run.end) break;
  }
  order.insert(order.end(), values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n));
  const std::byte* harmless = order.empty() ? nullptr : order.front();
  order.resize(n_own + 2 * kLead, harmless);
  expected = {};
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
    const uint32_t first = run.first.value / kOrdinalBlock;
    const uint32_t last = run.last.value / kOrdinalBlock;
    n += last - first + (first == before ? 0 : 1);
    before = last;
  }
  return n;
}

}  // namespace ebb::kernels
