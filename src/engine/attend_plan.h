// Cuts the attention of one layer into tasks of about equal size for the threads of a step.
// Internal to engine/.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/head_plan.h"
#include "kernels/attention.h"

namespace ebb::engine {

// One thread's piece of work in one KV head.
struct AttendTask {
  int kv_head = 0;
  int first_block = 0;
  int n_blocks = 1;       // more: sequences that hold the same cells below n_shared
  uint32_t n_shared = 0;  // an ordinal
  int first_row = 0;      // of the block's rows, where there is one block
  int n_rows = 0;
  int part = 0;  // of the cells
  int n_parts = 1;
  int split = -1;  // place among the splits, where n_parts > 1
};

// The parts of one task: whichever thread ends the last of them puts them together.
struct AttendSplit {
  AttendSplit(kernels::BlockResults* where, int n_parts) : results(where), n_left(n_parts) {}

  kernels::BlockResults* results;
  std::atomic<int> n_left;
};

struct AttendPlan {
  std::vector<AttendTask> tasks;
  std::deque<AttendSplit> splits;
};

// Requires: heads as plan_heads() gives them.  Shape of heads: [n_kv_heads, n_blocks].
// results: room that all layers use in turn.
// How the work is cut changes no result.
AttendPlan plan_attention(const std::vector<RowBlock>& blocks, const std::vector<HeadPlan>& heads,
                          const model::ModelConfig& config, int n_threads,
                          std::deque<kernels::BlockResults>& results);

}  // namespace ebb::engine
