// Lists what attention reads, and where the step's new cells lie, for one layer. Internal to
// engine/.
#pragma once

#include <span>
#include <vector>

#include "engine/sequence.h"
#include "kernels/attention.h"
#include "model/config.h"

namespace ebb::engine {

// The rows of one sequence in a step.
struct RowBlock {
  Sequence* sequence = nullptr;
  int first_row = 0;
  int n_rows = 0;
  Ordinal first_ordinal;
  SequenceSignals* signals = nullptr;  // or null

  bool gathers_weights() const;  // of attention, summed
};

// Cells of one (sequence, layer, KV head): what attention reads and where the new ones are written.
struct HeadPlan {
  std::vector<kernels::CellRun> runs;
  std::vector<kv::NewCell> new_cells;  // [n_rows of the block]
  int32_t pos_shift = 0;
};

// The runs of one head's cells.
void collect_runs(const kv::HeadCells& cells, const kv::CellFormat& format,
                  std::vector<kernels::CellRun>& runs);

// The plans of one block's heads in one layer; what they held gives its memory, for there are
// thousands of lists a step. Requires: the step's cells have been appended.  Shape of out:
// [n_kv_heads].
void plan_heads(const RowBlock& block, int layer, std::span<HeadPlan> out);

}  // namespace ebb::engine
