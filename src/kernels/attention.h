// Attention of some query rows over one head's cells, wherever these lie. One arithmetic for every
// case: scores lane by cell, sums in ordinal order, partial results cut at fixed ordinals and
// merged in order. So neither pages, nor evicted neighbours, nor other rows can change a bit of a
// row's result, as long as keys and values are finite.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/cell_type.h"
#include "base/ids.h"

namespace ebb::kernels {

// Ordinals [256 b, 256 (b + 1)) are summed on their own and merged in order: the cut must not
// depend on anything but the ordinals.
inline constexpr uint32_t kOrdinalBlock = 256;
// Query rows that attend_shared() and attend_part() take.
inline constexpr size_t kAttentionRows = 48;

// Cells [begin, end) of one page; not empty.
struct CellRun {
  const std::byte* keys = nullptr;    // [16, head_dim, n_groups], see kv/cell_format.h
  const std::byte* values = nullptr;  // [head_dim, n_cells]
  const Ordinal* ordinals = nullptr;  // [n_cells], ascending; null where has_gaps() is false
  const uint8_t* hidden = nullptr;    // [n_cells], non-zero = masked; null = none
  uint32_t begin = 0;
  uint32_t end = 0;
  // Of cells begin and end - 1. Most runs have no gaps, and then nobody need read the ordinals,
  // which lie where nothing else is wanted from memory.
  Ordinal first;
  Ordinal last;

  bool has_gaps() const { return last.value - first.value != end - 1 - begin; }
  uint32_t ordinal_at(uint32_t cell) const {
    return has_gaps() ? ordinals[cell].value : first.value + (cell - begin);
  }
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
  float* out = nullptr;  // [head_dim]; null in all rows of a call: only the statistics are wanted
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
  // What cells get from a row whose softmax is not a number. It stays below 0 whatever is added.
  static constexpr int64_t kNotANumber = INT64_MIN / 2;
};

// A sum of weights as a number; NaN where a row's softmax was none.
inline float weight_of(int64_t sum) {
  if (sum < 0) return std::numeric_limits<float>::quiet_NaN();
  return static_cast<float>(static_cast<double>(sum) * WeightSums::kUnit);
}

// The softmax of one row over one ordinal block: the largest score, and the sum of exp(score -
// max).
struct BlockSoftmax {
  float max = 0.0F;  // NaN as soon as one score that is seen is NaN
  float sum = 0.0F;  // 0: nothing was seen
};

// What some rows found in each ordinal block, where several threads share the blocks.
struct BlockResults {
  // Makes room; what was there is lost.
  void reserve(size_t n_blocks_max, size_t n_rows, size_t head_dim);

  std::atomic<size_t> n_blocks{0};    // every part writes the same number
  std::vector<BlockSoftmax> softmax;  // [n_rows, n_blocks], and room
  std::vector<float> partial;         // [head_dim, n_rows, n_blocks], and room
};

// One sequence's part of attend_shared().
struct AttentionMember {
  std::span<const CellRun> runs;
  std::span<const QueryRow> rows;
};

class AttentionScratch {
 public:
  AttentionScratch();
  ~AttentionScratch();
  AttentionScratch(AttentionScratch&&) noexcept;
  AttentionScratch& operator=(AttentionScratch&&) noexcept;

  // What the thread will read after the coming call, cells with ordinals below `first` left out:
  // the first of them are asked for while the call is at work. Speed only; forgotten after the
  // call. Requires: the runs stay until that call is over.
  void expect(std::span<const CellRun> runs, uint32_t first = 0);

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

// attend() of every member, where their cells with ordinals below n_shared are the same: those are
// read once for all rows. Not a bit differs from attend().
// Requires: n_shared is a multiple of kOrdinalBlock; at most kAttentionRows rows in all.
void attend_shared(const AttentionShape& shape, std::span<const AttentionMember> members,
                   uint32_t n_shared, AttentionScratch& scratch);

// attend() in n_parts parts that may run at once, each over some of the ordinal blocks; merge_parts
// afterwards gives the rows. Not a bit differs from attend().
// Requires: at most kAttentionRows rows; room in the results for them and n_blocks_at_most(runs)
// blocks.
void attend_part(const AttentionShape& shape, std::span<const CellRun> runs,
                 std::span<const QueryRow> rows, size_t part, size_t n_parts, BlockResults& results,
                 AttentionScratch& scratch);
void merge_parts(const AttentionShape& shape, std::span<const QueryRow> rows,
                 const BlockResults& results);
size_t n_blocks_at_most(std::span<const CellRun> runs);
size_t n_cells_of(std::span<const CellRun> runs);

}  // namespace ebb::kernels
