// Linear layers y = W x + bias, or residual + that, over repacked weights.
//
// kReference: float32 weights and activations, one fused multiply-add per input in order.
// kStrict:    block-quantised weights keep the file's integers, activations 15-bit integers with a
//             scale per 32 inputs; exact integer dots, float32 sums over blocks in order.
// kFast:      the same with 8-bit activations; where the processor has a matrix unit and there are
//             many rows, weights and activations rounded to bfloat16 and float32 sums.
// kFastFine:  kFast with kStrict's activations where that has 8-bit ones.
// Float weights run as kReference in every arithmetic, converted as they are read.
// An output's bits depend on its row and its weights alone: not on the number of rows, on how rows
// or outputs are split, on threads or on the instruction set. The matrix unit is the one exception:
// the fast ones may give a row other bits among many rows than among few.
#pragma once

#include <cstdint>

#include "kernels/packed_weight.h"
#include "kernels/quantise.h"

namespace ebb::kernels {

struct LinearCall {
  const PackedWeight& weight;
  const void* prepared = nullptr;  // [n_in, n_rows] in form_for(weight, n_rows, isa)
  int64_t n_rows = 0;
  float* y = nullptr;  // [n_out, n_rows], rows y_stride floats apart
  int64_t y_stride = 0;
  const float* bias = nullptr;  // [n_out] or null
  // Added to what the layer gives, or null.  Shape: as y, rows residual_stride floats apart.
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  int ith = 0;  // this thread's share, a contiguous run of 16-output groups
  int nth = 1;
  Isa isa = Isa::kBest;

  // Puts the sums of one row and one group of 16 outputs where they belong.
  void write(const float* sums, int64_t group, int64_t row) const;
};

// How the rows of a call must be prepared.
ActivationForm form_for(const PackedWeight& weight, int64_t n_rows, Isa isa = Isa::kBest);

// Threads: the shares of one call may run at once; they write disjoint outputs.
void multiply(const LinearCall& call);

// The outputs [begin, end) that share ith of nth writes.
struct OutputRange {
  int64_t begin = 0;
  int64_t end = 0;
};
OutputRange output_share(int64_t n_out, int ith, int nth);

}  // namespace ebb::kernels
