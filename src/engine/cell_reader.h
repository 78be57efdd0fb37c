// Reads cells back as float32, for policies and dumps. Internal to engine/.
#pragma once

#include <span>
#include <vector>

#include "kernels/attention.h"
#include "kv/cell_format.h"
#include "model/config.h"

namespace ebb::engine {

// Keys as attention uses them, in the channel order of HF transformers (llama files interleave the
// halves of every head).  Shape: out [head_dim, n_cells].
void read_keys(std::span<const kernels::CellRun> runs, const kv::CellFormat& format,
               model::RopeLayout layout, std::span<float> out);

// Shape: out [head_dim, n_cells].
void read_values(std::span<const kernels::CellRun> runs, const kv::CellFormat& format,
                 std::span<float> out);

}  // namespace ebb::engine
