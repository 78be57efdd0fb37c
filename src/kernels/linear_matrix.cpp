// A thread's share of a linear layer on a matrix unit. Weights are turned into bfloat16 once for as
// many rows as the second-level cache holds beside them.
#include <algorithm>
#include <vector>

#include "base/error.h"
#include "kernels/linear.h"
#include "kernels/linear_kernels.h"

namespace ebb::kernels {
namespace {

constexpr size_t kRowChunkBytes = size_t{1} << 20U;

class MatrixWalk {
 public:
  MatrixWalk(const MatrixKernels& kernels, const LinearCall& call)
      : kernels_(kernels),
        call_(call),
        n_blocks_(call.weight.n_in() / kBlockInputs),
        group_numbers_(static_cast<size_t>(n_blocks_) * kMatrixBlockNumbers),
        type_(block_type_index(call.weight.stored_type())) {
    static thread_local std::vector<uint16_t> memory;  // grows to the widest layer
    constexpr size_t kLine = 64 / sizeof(uint16_t);
    const size_t n_wanted = kMatrixGroups * group_numbers_ + kLine;
    if (memory.size() < n_wanted) memory.resize(n_wanted);
    const auto misplaced = reinterpret_cast<uintptr_t>(memory.data()) / sizeof(uint16_t) % kLine;
    weights_ = memory.data() + (kLine - misplaced) % kLine;
    kernels.begin();
  }
  ~MatrixWalk() { kernels_.end(); }
  MatrixWalk(const MatrixWalk&) = delete;
  MatrixWalk& operator=(const MatrixWalk&) = delete;

  void run() const {
    const GroupRange groups = group_share(call_.weight.n_groups(), call_.ith, call_.nth);
    const size_t row_bytes = prepared_row_bytes(ActivationForm::kBf16, call_.weight.n_in());
    const int64_t chunk = rows_at_once(kRowChunkBytes, row_bytes, kMatrixRows);
    for (int64_t row = 0; row < call_.n_rows; row += chunk) {
      const int64_t row_end = std::min(row + chunk, call_.n_rows);
      for (int64_t group = groups.begin; group < groups.end; group += kMatrixGroups) {
        run_groups(group, std::min<int64_t>(groups.end - group, kMatrixGroups), row, row_end);
      }
    }
  }

 private:
  void run_groups(int64_t first, int64_t n_groups, int64_t row_begin, int64_t row_end) const {
    alignas(64) float out[kMatrixGroups * kMatrixRows * kGroupOutputs];
    MatrixTile tile;
    for (int64_t g = 0; g < n_groups; ++g) {
      uint16_t* weights = weights_ + static_cast<size_t>(g) * group_numbers_;
      kernels_.dequantise[type_](reinterpret_cast<const uint8_t*>(call_.weight.group(first + g)),
                                 call_.weight.n_in(), weights);
      tile.weights[g] = weights;
    }
    tile.n_blocks = n_blocks_;
    tile.out = out;
    for (int64_t row = row_begin; row < row_end; row += kMatrixRows) {
      const auto* rows = static_cast<const uint16_t*>(call_.prepared) +
                         static_cast<size_t>(row / kPreparedRows) * group_numbers_;
      tile.rows[0] = rows;
      tile.rows[1] = rows + group_numbers_;
      kernels_.multiply(tile);
      const int64_t n_rows = std::min<int64_t>(row_end - row, kMatrixRows);
      for (int64_t g = 0; g < n_groups; ++g) {
        for (int64_t r = 0; r < n_rows; ++r) {
          call_.write(out + (g * kMatrixRows + r) * kGroupOutputs, first + g, row + r);
        }
      }
    }
  }

  const MatrixKernels& kernels_;
  const LinearCall& call_;
  int64_t n_blocks_;
  size_t group_numbers_;
  int type_;
  uint16_t* weights_ = nullptr;
};

}  // namespace

void multiply_matrix(const MatrixKernels& kernels, const LinearCall& call) {
  MatrixWalk(kernels, call).run();
}

}  // namespace ebb::kernels
