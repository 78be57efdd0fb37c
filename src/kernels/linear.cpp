// Walks a thread's share of a linear layer in tiles that fit the caches. How the walk is cut never
// changes a result: every output is one kernel's whole sum over the inputs.
#include "kernels/linear.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/linear_kernels.h"

namespace ebb::kernels {
namespace {

// Prepared rows that stay in the second-level cache while the weights stream past them.
constexpr size_t kRowChunkBytes = size_t{384} << 10U;

class Walk {
 public:
  explicit Walk(const LinearCall& call)
      : call_(call),
        kernels_(kernels_of(call.isa)),
        row_bytes_(prepared_row_bytes(call.weight.form(), call.weight.n_in())),
        pair_(pair_of()) {}

  void run() const {
    const GroupRange groups = group_share(call_.weight.n_groups(), call_.ith, call_.nth);
    const int64_t chunk = rows_at_once(kRowChunkBytes, row_bytes_, kMaxTileRows);
    for (int64_t row = 0; row < call_.n_rows; row += chunk) {
      run_chunk(groups, row, std::min(row + chunk, call_.n_rows));
    }
  }

 private:
  struct Choice {
    TileFunction function = nullptr;
    int n_rows = 0;
    int n_groups = 0;
  };

  void run_chunk(const GroupRange& groups, int64_t row_begin, int64_t row_end) const {
    const bool is_float = call_.weight.form() == ActivationForm::kFloat32;
    const int64_t n_together = is_float ? kMaxTileGroups : pair_.function != nullptr ? 2 : 1;
    for (int64_t first = groups.begin; first < groups.end; first += n_together) {
      const int64_t end = std::min(first + n_together, groups.end);
      for (int64_t row = row_begin; row < row_end;) {
        int64_t n_rows = 0;
        for (int64_t group = first; group < end;) {
          const Choice choice = choose(row_end - row, end - group);
          run_tile(choice, group, row, row == row_begin);
          group += choice.n_groups;
          n_rows = choice.n_rows;  // the same for every group: rows are chosen first
        }
        row += n_rows;
      }
    }
  }

  TileFunction function_of(int n_rows, int n_groups) const {
    const auto stored = static_cast<int>(call_.weight.stored_type());
    const int block_type = block_type_index(call_.weight.stored_type());
    switch (call_.weight.form()) {
      case ActivationForm::kFloat32:
        return kernels_.float32[stored][n_rows][n_groups];
      case ActivationForm::kInt15:
        return n_groups == 1 ? kernels_.int15[block_type][n_rows] : nullptr;
      case ActivationForm::kInt8:
        return n_groups == 1 ? kernels_.int8[block_type][n_rows] : nullptr;
      case ActivationForm::kBf16:
        break;
    }
    return nullptr;
  }

  PairTile pair_of() const {
    const ActivationForm form = call_.weight.form();
    if (form != ActivationForm::kInt15 && form != ActivationForm::kInt8) return {};
    const int at = block_type_index(call_.weight.stored_type());
    return form == ActivationForm::kInt15 ? kernels_.int15_pairs[at] : kernels_.int8_pairs[at];
  }

  Choice choose(int64_t rows_left, int64_t groups_left) const {
    // A few rows more than a pair takes are better off in one tile of all of them.
    const bool leaves_few =
        rows_left > pair_.n_rows && rows_left <= kMaxTileRows && rows_left < 2 * pair_.n_rows;
    if (pair_.function != nullptr && groups_left >= 2 && rows_left >= pair_.n_rows && !leaves_few) {
      return {pair_.function, pair_.n_rows, 2};
    }
    for (auto r = static_cast<int>(std::min<int64_t>(rows_left, kMaxTileRows)); r > 0; --r) {
      for (auto g = static_cast<int>(std::min<int64_t>(groups_left, kMaxTileGroups)); g > 0; --g) {
        if (const TileFunction function = function_of(r, g)) {
          return {function, r, g};
        }
      }
    }
    EBB_CHECK(false);
    return {};
  }

  void run_tile(const Choice& choice, int64_t group, int64_t row, bool asks_ahead) const {
    alignas(64) float out[kMaxTileRows * kMaxTileGroups * kGroupOutputs];
    LinearTile tile;
    tile.weights = reinterpret_cast<const uint8_t*>(call_.weight.group(group));
    tile.group_bytes = call_.weight.group_bytes();
    tile.n_in = call_.weight.n_in();
    tile.rows = static_cast<const uint8_t*>(call_.prepared) + static_cast<size_t>(row) * row_bytes_;
    tile.row_bytes = row_bytes_;
    tile.out = out;
    tile.asks_ahead = asks_ahead;
    choice.function(tile);
    for (int g = 0; g < choice.n_groups; ++g) {
      for (int r = 0; r < choice.n_rows; ++r) {
        call_.write(out + (g * choice.n_rows + r) * kGroupOutputs, group + g, row + r);
      }
    }
  }

  const LinearCall& call_;
  const KernelTable& kernels_;
  size_t row_bytes_;
  PairTile pair_;
};

}  // namespace

GroupRange group_share(int64_t n_groups, int ith, int nth) {
  return {n_groups * ith / nth, n_groups * (ith + 1) / nth};
}

int64_t rows_at_once(size_t chunk_bytes, size_t row_bytes, int64_t tile_rows) {
  const auto fit = static_cast<int64_t>(chunk_bytes / row_bytes);
  return std::max<int64_t>(fit / tile_rows, 1) * tile_rows;
}

void LinearCall::write(const float* sums, int64_t group, int64_t row) const {
  const int64_t first = group * kGroupOutputs;
  const int64_t n = std::min<int64_t>(kGroupOutputs, weight.n_out() - first);
  float* out = y + row * y_stride + first;
  const float* added = bias == nullptr ? nullptr : bias + first;
  const float* onto = residual == nullptr ? nullptr : residual + row * residual_stride + first;
  // A whole group is by far the commonest: its loops have a fixed length.
  if (n == kGroupOutputs && added == nullptr) {
    if (onto == nullptr) {
      std::memcpy(out, sums, kGroupOutputs * sizeof(float));
    } else {
      for (int i = 0; i < kGroupOutputs; ++i) out[i] = onto[i] + sums[i];
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const float sum = added == nullptr ? sums[i] : sums[i] + added[i];
    out[i] = onto == nullptr ? sum : onto[i] + sum;
  }
}

// A matrix unit turns weights into bfloat16 first, which few rows do not pay for.
static constexpr int64_t kFewestMatrixRows = 32;

ActivationForm form_for(const PackedWeight& weight, int64_t n_rows, Isa isa) {
  const ActivationForm form = weight.form();
  const bool is_fast =
      weight.arithmetic() == Arithmetic::kFast || weight.arithmetic() == Arithmetic::kFastFine;
  const bool may_round = is_fast && form != ActivationForm::kFloat32 && n_rows >= kFewestMatrixRows;
  return may_round && kernels_of(isa).matrix != nullptr ? ActivationForm::kBf16 : form;
}

OutputRange output_share(int64_t n_out, int ith, int nth) {
  const GroupRange groups = group_share((n_out + kGroupOutputs - 1) / kGroupOutputs, ith, nth);
  return {std::min(groups.begin * kGroupOutputs, n_out),
          std::min(groups.end * kGroupOutputs, n_out)};
}

void multiply(const LinearCall& call) {
  EBB_DCHECK(call.prepared != nullptr && call.y != nullptr);
  EBB_DCHECK(call.nth >= 1 && call.ith >= 0 && call.ith < call.nth);
  if (form_for(call.weight, call.n_rows, call.isa) == ActivationForm::kBf16) {
    return multiply_matrix(*kernels_of(call.isa).matrix, call);
  }
  Walk(call).run();
}

}  // namespace ebb::kernels
