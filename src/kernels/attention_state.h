// Working memory of one attention call; internal to kernels/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention.h"

namespace ebb::kernels {

// Ordinals [256 b, 256 (b + 1)) are summed on their own and merged in order: the cut must not
// depend on anything but the ordinals.
inline constexpr uint32_t kOrdinalBlock = 256;
inline constexpr uint32_t kCellGroup = 16;

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

  std::vector<CellGroup> groups;    // of all blocks that some row can see
  std::vector<size_t> block_begin;  // [n_blocks + 1] into groups
  std::vector<float> scores;   // [16 * n_groups, 4] of the block, or of all blocks with statistics
  std::vector<float> partial;  // [head_dim, 4]
  std::vector<float> row_max, row_sum;
};

}  // namespace ebb::kernels
