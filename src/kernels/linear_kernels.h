// What one instruction set offers to the linear layers: functions on a tile of a few rows x 16
// outputs. Internal to kernels; callers use linear.h and quantise.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/linear_isa.h"
#include "kernels/packed_layout.h"
#include "kernels/quantise.h"
#include "kernels/weight_type.h"

namespace ebb::kernels {

inline constexpr int kMaxTileRows = 8;
inline constexpr int kMaxTileGroups = 4;
inline constexpr int kNumBlockTypes = 8;
inline constexpr int kNumFloatTypes = 3;

// A few prepared rows times one or more groups of 16 outputs, over all inputs.
struct LinearTile {
  const uint8_t* weights = nullptr;  // first group
  size_t group_bytes = 0;
  int64_t n_in = 0;
  const uint8_t* rows = nullptr;  // first prepared row
  size_t row_bytes = 0;
  float* out = nullptr;  // [16, n_rows, n_groups]
};
using TileFunction = void (*)(const LinearTile& tile);

// n blocks of 32 floats -> n Int15Block or Int8Block.
using QuantiseFunction = void (*)(const float* x, int64_t n_blocks, void* out);

// Null where an instruction set has no function for that many rows or groups; one row and one group
// always exist.
struct KernelTable {
  TileFunction int15[kNumBlockTypes][kMaxTileRows + 1];  // [type - kQ4_0][n_rows]
  TileFunction int8[kNumBlockTypes][kMaxTileRows + 1];
  TileFunction float32[kNumFloatTypes][kMaxTileRows + 1][kMaxTileGroups + 1];
  QuantiseFunction quantise_int15;
  QuantiseFunction quantise_int8;
};

const KernelTable& portable_kernels();
#if defined(__x86_64__)
const KernelTable& avx2_kernels();
const KernelTable& avx512_vnni_kernels();
#endif
// Requires: can_run(isa).
const KernelTable& kernels_of(Isa isa);

}  // namespace ebb::kernels
