// Attention of some query rows over one head's cells, wherever these lie. One arithmetic for every
// case: scores lane by cell, sums in ordinal order, partial results cut at fixed ordinals and
// merged in order. So neither pages, nor evicted neighbours, nor other rows can change a bit of a
// row's result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/cell_type.h"
#include "base/ids.h"

namespace ebb::kernels {

// Cells [begin, end) of one page.
struct CellRun {
  const std::byte* keys = nullptr;    // [16, head_dim, n_groups], see kv/cell_format.h
  const std::byte* values = nullptr;  // [head_dim, n_cells]
  const Ordinal* ordinals = nullptr;  // [n_cells], ascending
  const uint8_t* hidden = nullptr;    // [n_cells], non-zero = masked; null = none
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct AttentionShape {
  int head_dim = 0;
  CellType type = CellType::kF16;
  float scale = 1.0F;
  float softcap = 0.0F;  // 0 = none
  uint32_t window = 0;   // a cell is seen while query ordinal - cell ordinal < window; 0 = always
};

// One query head of one token. Rows of one call share the cells: the query heads of a KV head's
// group, for some neighbouring tokens.
struct QueryRow {
  const float* query = nullptr;  // [head_dim], rotated
  Ordinal ordinal;
  float* out = nullptr;  // [head_dim]
};

// Statistics for policies, taken from the very weights that the output was made of. Sums are
// integers in units of 2^-30, so that they do not depend on the order in which rows are added.
struct WeightSums {
  static constexpr float kUnit = 0x1p-30F;
  // [n_cells of all runs, n_sums]: row r of the call is added to sum row_target[r]; null = none
  // wanted.
  int64_t* sums = nullptr;
  size_t stride = 0;                     // cells between two sums
  std::span<const uint32_t> row_target;  // [n_rows]; kNoTarget = this row is not counted
  static constexpr uint32_t kNoTarget = UINT32_MAX;
};

class AttentionScratch {
 public:
  AttentionScratch();
  ~AttentionScratch();
  AttentionScratch(AttentionScratch&&) noexcept;
  AttentionScratch& operator=(AttentionScratch&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Requires: runs ascending by ordinal; every row sees at least one cell, or its output is all zero.
// A NaN in a query or key makes the row's output NaN, it is never dropped.
// Threads: any number, each with its own scratch and its own rows.
void attend(const AttentionShape& shape, std::span<const CellRun> runs,
            std::span<const QueryRow> rows, AttentionScratch& scratch,
            const WeightSums& statistics = {});

}  // namespace ebb::kernels
