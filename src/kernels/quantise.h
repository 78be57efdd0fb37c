// Activations made ready for a linear layer: float32 rows, or integers with a scale per 32 inputs.
// One prepared matrix serves every weight that takes the same form, whatever its block type.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/linear_isa.h"
#include "kernels/weight_type.h"

namespace ebb::kernels {

enum class ActivationForm : uint8_t {
  kFloat32,  // as they are
  kInt15,    // 128 * high + low: |value| <= 16256, rounded to nearest
  kInt8,     // |value| <= 127
  kBf16      // rounded to bfloat16, in tiles for a matrix unit
};

// 32 activations of one row: x[i] ~ scale * (128 * high[i] + low[i]).
struct Int15Block {
  static constexpr int kMax = 127 * 128;
  int8_t high[32];  // -127..127
  int8_t low[32];   // -64..63
  float scale;
  float sum;            // of the 32 integers, exact
  int32_t int_sum;      // the same
  int32_t half_sum[2];  // of each 16
};

// 32 activations of one row: x[i] ~ scale * high[i].
struct Int8Block {
  static constexpr int kMax = 127;
  int8_t high[32];
  float scale;
  float sum;
  int32_t int_sum;
  int32_t half_sum[2];
};

// kBf16: rows lie in blocks of [32 inputs, 16 rows], all blocks of 16 rows one after the other, and
// the matrix unit reads 32 rows at a time, whatever the last of them hold.
inline constexpr int kPreparedRows = 16;

// Of few rows; linear.h says what many rows take.
ActivationForm activation_form(WeightType type, Arithmetic arithmetic);

// Bytes of one prepared row, and of a matrix of them, which for kBf16 has room for whole tiles.
// Rows lie one after the other but for kBf16.
size_t prepared_row_bytes(ActivationForm form, int64_t n_in);
size_t prepared_bytes(ActivationForm form, int64_t n_in, int64_t n_rows);
// Rows that prepared_bytes has room for.
int64_t prepared_row_count(ActivationForm form, int64_t n_rows);

// Activations as the layer before wrote them.  Shape: [n_in, n_rows], rows `stride` floats apart.
struct ActivationRows {
  const float* data = nullptr;
  int64_t n_in = 0;
  int64_t stride = 0;
};

// Prepares rows [row_begin, row_end) into `prepared`, which holds all rows of the matrix.
// A block with a NaN or an infinity gets a NaN scale: its row's outputs become NaN, never a number.
// In kBf16 they stay what they are, and the outputs become NaN or infinite.
// Requires: prepared aligned to 4 bytes; n_in a multiple of 32 for all forms but kFloat32; for
// kBf16 an isa that has a matrix unit. Threads: disjoint row ranges may run at once.
void prepare_rows(ActivationForm form, const ActivationRows& rows, int64_t row_begin,
                  int64_t row_end, void* prepared, Isa isa = Isa::kBest);

}  // namespace ebb::kernels
