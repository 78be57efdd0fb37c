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
  // Pairs only: the two groups behind these are not in a cache yet and should be asked for.
  bool asks_ahead = false;
};
using TileFunction = void (*)(const LinearTile& tile);
// Two groups at once for so many rows, no more and no fewer.
struct PairTile {
  TileFunction function = nullptr;
  int n_rows = 0;
};

// n blocks of 32 floats -> n Int15Block or Int8Block.
using QuantiseFunction = void (*)(const float* x, int64_t n_blocks, void* out);

// Matrix units: 32 rows times one or two groups of 16 outputs, both in bfloat16, sums in float32.
inline constexpr int kMatrixRows = 32;
inline constexpr int kMatrixGroups = 2;
// Of 32 inputs of 16 rows or of 16 outputs.
inline constexpr int kMatrixBlockNumbers = kBlockInputs * kPreparedRows;
static_assert(kMatrixRows == 2 * kPreparedRows && kPreparedRows == kGroupOutputs);
struct MatrixTile {
  const uint16_t* rows[2] = {};  // 16 rows each, [32 inputs, 16 rows] a block of inputs
  const uint16_t* weights[2] =
      {};                // [2 inputs, 16 outputs, 16] a block; the second null: one group
  int64_t n_blocks = 0;  // of 32 inputs
  float* out = nullptr;  // [16, 32 rows, groups]
};
struct MatrixKernels {
  // 32 inputs of one row -> out.
  void (*round_block)(const float* x, uint16_t* out);
  // A packed group -> n_in / 32 blocks of MatrixTile::weights.  [type - kQ4_0]
  void (*dequantise[kNumBlockTypes])(const uint8_t* group, int64_t n_in, uint16_t* out);
  void (*multiply)(const MatrixTile& tile);
  // Around multiply(), on the thread that calls it.
  void (*begin)();
  void (*end)();
};

// Null where an instruction set has no function for that many rows or groups; one row and one group
// always exist.
struct KernelTable {
  TileFunction int15[kNumBlockTypes][kMaxTileRows + 1];  // [type - kQ4_0][n_rows]
  TileFunction int8[kNumBlockTypes][kMaxTileRows + 1];
  TileFunction float32[kNumFloatTypes][kMaxTileRows + 1][kMaxTileGroups + 1];
  PairTile int15_pairs[kNumBlockTypes];  // no function where the instruction set gains nothing
  PairTile int8_pairs[kNumBlockTypes];
  QuantiseFunction quantise_int15;
  QuantiseFunction quantise_int8;
  const MatrixKernels* matrix = nullptr;  // for many rows in kFast; null where there is no unit
};

const KernelTable& portable_kernels();
#if defined(__x86_64__)
const KernelTable& avx2_kernels();
const KernelTable& avx512_vnni_kernels();
const KernelTable& amx_kernels();
// Asks the system for the matrix unit, once for the process.
bool may_use_amx();
#endif
// Requires: can_run(isa).
const KernelTable& kernels_of(Isa isa);

// Where a block type stands in tables of functions.  Requires: is_block_quantised(type).
constexpr int block_type_index(WeightType type) {
  return static_cast<int>(type) - static_cast<int>(WeightType::kQ4_0);
}

// The groups of 16 outputs that share ith of nth computes.
struct GroupRange {
  int64_t begin;
  int64_t end;
};
GroupRange group_share(int64_t n_groups, int ith, int nth);
// Rows of row_bytes that fit into chunk_bytes, in whole tiles, at least one.
int64_t rows_at_once(size_t chunk_bytes, size_t row_bytes, int64_t tile_rows);

// Row `row` of a matrix into rows prepared as kBf16, spread over the blocks of its 16 rows.
void round_row(const MatrixKernels& kernels, const float* x, int64_t n_in, int64_t row,
               void* prepared);
struct LinearCall;
// multiply() of linear.h for such rows.
void multiply_matrix(const MatrixKernels& kernels, const LinearCall& call);

}  // namespace ebb::kernels
