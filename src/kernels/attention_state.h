// Working memory of one attention call; internal to kernels/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention.h"

namespace ebb::kernels {

inline constexpr uint32_t kCellGroup = 16;
// Rows that go through a block together share the cells that were turned into floats.
inline constexpr size_t kRowsAtOnce = kAttentionRows;
// The statistics keep a row's scores over all blocks, so fewer rows fit the cache.
inline constexpr size_t kRowsWithSums = 16;
// Cells and channels turned into floats at once: 16 KiB, half of a first-level cache.
inline constexpr size_t kTileGroups = 4;
inline constexpr size_t kTileChannels = 64;

// Up to 16 neighbouring cells of one page that fall into one ordinal block.
struct CellGroup {
  const std::byte* keys = nullptr;    // of the group's first lane
  const std::byte* values = nullptr;  // of lane 0
  const uint8_t* hidden = nullptr;    // of lane 0, or null
  const CellRun* run = nullptr;
  uint32_t base = 0;  // cell of lane 0
  uint32_t lane_begin = 0;
  uint32_t lane_end = 0;
  uint32_t cell_index = 0;  // of lane_begin, counted over all runs
  uint32_t first = 0;       // ordinals of lanes lane_begin and lane_end - 1
  uint32_t last = 0;

  uint32_t ordinal_at(uint32_t lane) const { return run->ordinal_at(base + lane); }
};

// How far ahead cells are asked for: far enough for memory to answer, and near enough for the
// first-level cache to keep the answer.
inline constexpr size_t kLead = 4;

struct AttentionScratch::State {
  // Lists the groups of cells with ordinals in [first_seen, last_seen], cut at ordinal blocks.
  void collect_groups(const AttentionShape& shape, std::span<const CellRun> runs,
                      uint32_t first_seen, uint32_t last_seen);

  size_t n_blocks() const { return block_begin.size() - 1; }
  std::span<const CellGroup> groups_of(size_t block) const {
    const size_t begin = block_begin[block];
    return std::span(groups).subspan(begin, block_begin[block + 1] - begin);
  }
  // Keys or values of one group each, in the order in which they are read, kLead of them ahead:
  // what is asked for while those of the block's first group are read, and so on.
  const std::byte* const* ahead_of_keys(size_t block) const {
    return order.data() + 2 * block_begin[block] + kLead;
  }
  const std::byte* const* ahead_of_values(size_t block) const {
    return ahead_of_keys(block) + (block_begin[block + 1] - block_begin[block]);
  }

  std::vector<CellGroup> groups;    // of all blocks that some row can see
  std::vector<size_t> block_begin;  // [n_blocks + 1] into groups
  std::vector<float> scores;        // [16 * n_groups, n_rows] of the block
  std::vector<float> kept;          // [16 * n_groups, n_rows] of all blocks, with statistics
  std::vector<float> partial;       // [head_dim, n_rows] of the block
  std::array<float, kTileGroups * kCellGroup * kTileChannels> tile;
  std::array<BlockSoftmax, kRowsAtOnce> of_block;  // of the rows, over one block
  std::array<BlockSoftmax, kRowsAtOnce> so_far;    // over the blocks so far

  std::vector<QueryRow> rows;  // of all members that share cells

  std::span<const CellRun> expected;
  uint32_t expected_first = 0;
  std::vector<const std::byte*> order;  // [2 * n_groups + 2 * kLead]

  // Lists what is read, and then the first of what is expected, which is forgotten thereby.
  void put_in_order(size_t cell_key_bytes);

  // Room for n_rows rows over the groups that were collected.
  void reserve(const AttentionShape& shape, size_t n_rows, bool keeps_scores);
};

}  // namespace ebb::kernels
