// Lists what attention reads, and where the step's new cells lie, for one layer. Internal to
// engine/.
#pragma once

#include <vector>

#include "engine/ops.h"

namespace ebb::engine {

// The runs of one head's cells.
void collect_runs(const kv::HeadCells& cells, const kv::CellFormat& format,
                  std::vector<kernels::CellRun>& runs);

// Requires: the step's cells have been appended.  Shape: [n_kv_heads, n_blocks].
std::vector<HeadPlan> plan_heads(const std::vector<RowBlock>& blocks, int layer, int n_kv_heads);

}  // namespace ebb::engine
