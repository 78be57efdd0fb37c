// Preparing activations: sizes and the walk over rows. The arithmetic is in linear_tile.inl.
#include "kernels/quantise.h"

#include <cstring>

#include "base/error.h"
#include "kernels/linear_kernels.h"

namespace ebb::kernels {

ActivationForm activation_form(WeightType type, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kReference || !is_block_quantised(type)) {
    return ActivationForm::kFloat32;
  }
  return arithmetic == Arithmetic::kFast ? ActivationForm::kInt8 : ActivationForm::kInt15;
}

size_t prepared_row_bytes(ActivationForm form, int64_t n_in) {
  const auto n = static_cast<size_t>(n_in);
  switch (form) {
    case ActivationForm::kFloat32:
      return n * sizeof(float);
    case ActivationForm::kInt15:
      return n / kBlockInputs * sizeof(Int15Block);
    case ActivationForm::kInt8:
      return n / kBlockInputs * sizeof(Int8Block);
    case ActivationForm::kBf16:
      return n * sizeof(uint16_t);
  }
  return 0;
}

int64_t prepared_row_count(ActivationForm form, int64_t n_rows) {
  if (form != ActivationForm::kBf16) return n_rows;
  return (n_rows + kMatrixRows - 1) / kMatrixRows * kMatrixRows;
}

size_t prepared_bytes(ActivationForm form, int64_t n_in, int64_t n_rows) {
  return prepared_row_bytes(form, n_in) * static_cast<size_t>(prepared_row_count(form, n_rows));
}

void round_row(const MatrixKernels& kernels, const float* x, int64_t n_in, int64_t row,
               void* prepared) {
  const int64_t n_blocks = n_in / kBlockInputs;
  const int64_t first = row / kPreparedRows * n_blocks * kPreparedRows + row % kPreparedRows;
  auto* out = static_cast<uint16_t*>(prepared) + first * kBlockInputs;
  for (int64_t b = 0; b < n_blocks; ++b) {
    kernels.round_block(x + b * kBlockInputs, out + b * kPreparedRows * kBlockInputs);
  }
}

void prepare_rows(ActivationForm form, const ActivationRows& rows, int64_t row_begin,
                  int64_t row_end, void* prepared, Isa isa) {
  EBB_DCHECK(form == ActivationForm::kFloat32 || rows.n_in % kBlockInputs == 0);
  const KernelTable& kernels = kernels_of(isa);
  const size_t row_bytes = prepared_row_bytes(form, rows.n_in);
  for (int64_t row = row_begin; row < row_end; ++row) {
    const float* x = rows.data + row * rows.stride;
    auto* out = static_cast<std::byte*>(prepared) + static_cast<size_t>(row) * row_bytes;
    switch (form) {
      case ActivationForm::kFloat32:
        std::memcpy(out, x, row_bytes);
        break;
      case ActivationForm::kInt15:
        kernels.quantise_int15(x, rows.n_in / kBlockInputs, out);
        break;
      case ActivationForm::kInt8:
        kernels.quantise_int8(x, rows.n_in / kBlockInputs, out);
        break;
      case ActivationForm::kBf16:
        EBB_DCHECK(kernels.matrix != nullptr);
        round_row(*kernels.matrix, x, rows.n_in, row, prepared);
        break;
    }
  }
}

}  // namespace ebb::kernels
