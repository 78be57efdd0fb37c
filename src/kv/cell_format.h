// How the cells of one head lie in a page. Shapes in ggml order, fastest dimension first:
// keys [16, head_dim, n_groups]: 16 cells side by side, so that a score needs no horizontal sum;
// values [head_dim, n_cells].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/cell_type.h"

namespace ebb::kv {

struct CellFormat {
  static constexpr uint32_t kGroup = 16;  // cells side by side in the key layout

  CellType type = CellType::kF16;
  int head_dim = 0;

  size_t number_bytes() const { return cell_type_bytes(type); }
  size_t key_bytes() const { return static_cast<size_t>(head_dim) * number_bytes(); }
  size_t cell_bytes() const { return 2 * key_bytes(); }  // K and V

  // About 16 KiB of K and V, in whole groups.
  uint32_t cells_per_page() const {
    const size_t cells = (size_t{16} << 10) / cell_bytes() / kGroup * kGroup;
    return static_cast<uint32_t>(std::max<size_t>(kGroup, cells));
  }
  size_t page_bytes() const { return cells_per_page() * cell_bytes(); }
  size_t key_page_bytes() const { return cells_per_page() * key_bytes(); }

  // Offsets in numbers (not bytes) from the first key or value of a page.
  size_t key_at(uint32_t cell, int channel) const {
    const size_t group = cell / kGroup;
    return (group * static_cast<size_t>(head_dim) + static_cast<size_t>(channel)) * kGroup +
           cell % kGroup;
  }
  size_t value_at(uint32_t cell, int channel) const {
    return static_cast<size_t>(cell) * static_cast<size_t>(head_dim) + static_cast<size_t>(channel);
  }
};

}  // namespace ebb::kv
