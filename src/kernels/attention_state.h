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
  const Ordinal* ordinals = nullptr;  // of lane 0
  const uint8_t* hidden = nullptr;    // of lane 0, or null
  uint32_t lane_begin = 0;
  uint32_t lane_end = 0;
  uint32_t cell_index = 0;  // of lane_begin, counted over all runs
};

struct AttentionScratch::State {
  // Lists the groups of cells with ordinals in [first_seen, last_seen], cut at ordinal blocks.
  void collect_groups(const AttentionShape& shape, std::span<const CellRun> runs,
                      uint32_t first_seen, uint32_t last_seen);

  size_t n_blocks() const { return block_begin.size() - 1; }
  std::span<const CellGroup> groups_of(size_t block) const {
    const size_t begin = block_begin[block];
    return std::span(groups).subspan(begin, block_begin[block + 1] - begin);
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

  // Room for n_rows rows over the groups that were collected.
  void reserve(const AttentionShape& shape, size_t n_rows, bool keeps_scores);
};

}  // namespace ebb::kernels
