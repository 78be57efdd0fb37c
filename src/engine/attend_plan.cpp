#include "engine/attend_plan.h"

#include <algorithm>

namespace ebb::engine {
namespace {

// Tasks a thread, so that one that takes longer than the others is not waited for.
constexpr int kTasksPerThread = 3;
// Fewer cells than this are read sooner than their parts are put together.
constexpr size_t kCellsWorthSplitting = 512;
// Rows of one sequence from which its own rows make good use of the cells.
constexpr int kRowsWorthSharing = 12;

bool is_same(const kernels::CellRun& a, const kernels::CellRun& b) {
  return a.keys == b.keys && a.values == b.values && a.hidden == b.hidden && a.begin == b.begin &&
         a.end == b.end;
}

// Below which ordinal, a multiple of the block, two sequences hold the same cells in one head.
uint32_t shared_below(const std::vector<kernels::CellRun>& a,
                      const std::vector<kernels::CellRun>& b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && is_same(a[n], b[n])) ++n;
  if (n == 0) return 0;
  uint32_t next = UINT32_MAX;
  if (n < a.size()) next = a[n].first.value;
  if (n < b.size()) next = std::min(next, b[n].first.value);
  return next / kernels::kOrdinalBlock * kernels::kOrdinalBlock;
}

class Planner {
 public:
  Planner(const std::vector<RowBlock>& blocks, const std::vector<HeadPlan>& heads,
          const model::ModelConfig& config, int n_threads,
          std::deque<kernels::BlockResults>& results)
      : blocks_(blocks),
        heads_(heads),
        config_(config),
        n_tasks_wanted_(kTasksPerThread * n_threads),
        results_(results) {}

  AttendPlan plan(int n_threads) {
    for (int head = 0; head < config_.n_kv_heads; ++head) plan_head(head);
    if (n_threads > 1 && static_cast<int>(out_.tasks.size()) < n_tasks_wanted_) split_tasks();
    return std::move(out_);
  }

 private:
  const std::vector<kernels::CellRun>& runs(int block, int head) const {
    return heads_[static_cast<size_t>(block * config_.n_kv_heads + head)].runs;
  }
  const RowBlock& block(int index) const { return blocks_[static_cast<size_t>(index)]; }
  int query_rows(int index) const { return block(index).n_rows * config_.group_size(); }
  bool may_share(int index) const {
    return query_rows(index) <= kRowsWorthSharing && !block(index).gathers_weights();
  }

  void plan_head(int head) {
    const auto n = static_cast<int>(blocks_.size());
    for (int first = 0; first < n;) {
      uint32_t n_shared = 0;
      const int end = end_of_company(head, first, n_shared);
      if (end == first + 1) {
        add_alone(head, first);
      } else {
        add_company(head, first, end, n_shared);
      }
      first = end;
    }
  }

  // Neighbours that share at least a block of cells, and not much less than the first two of them.
  int end_of_company(int head, int first, uint32_t& n_shared) const {
    int end = first + 1;
    if (!may_share(first)) return end;
    for (; end < static_cast<int>(blocks_.size()) && may_share(end); ++end) {
      const uint32_t below = shared_below(runs(first, head), runs(end, head));
      if (below < std::max(kernels::kOrdinalBlock, n_shared / 2)) break;
      n_shared = n_shared == 0 ? below : std::min(n_shared, below);
    }
    return end;
  }

  void add_alone(int head, int index) {
    const int n_most =
        std::max(1, static_cast<int>(kernels::kAttentionRows) / config_.group_size());
    for (int row = 0; row < block(index).n_rows; row += n_most) {
      out_.tasks.push_back({.kv_head = head,
                            .first_block = index,
                            .first_row = row,
                            .n_rows = std::min(n_most, block(index).n_rows - row)});
    }
  }

  void add_company(int head, int first, int end, uint32_t n_shared) {
    int rows_most = 1;
    for (int i = first; i < end; ++i) rows_most = std::max(rows_most, query_rows(i));
    const int fits = std::max(1, static_cast<int>(kernels::kAttentionRows) / rows_most);
    const int n = end - first;
    // As many to a task as leaves work for every thread.
    const int n_pieces = std::max((n_tasks_wanted_ + config_.n_kv_heads - 1) / config_.n_kv_heads,
                                  (n + fits - 1) / fits);
    const int n_each = std::clamp((n + n_pieces - 1) / n_pieces, 1, fits);
    for (int at = first; at < end; at += n_each) {
      out_.tasks.push_back({.kv_head = head,
                            .first_block = at,
                            .n_blocks = std::min(n_each, end - at),
                            .n_shared = n_shared,
                            .n_rows = block(at).n_rows});
    }
  }

  // Too few tasks for the threads: the cells of the long ones are cut as well.
  void split_tasks() {
    const auto n_tasks = static_cast<int>(out_.tasks.size());
    const int n_wanted = (n_tasks_wanted_ + n_tasks - 1) / n_tasks;
    std::vector<AttendTask> cut;
    for (const AttendTask& task : out_.tasks) {
      const std::vector<kernels::CellRun>& cells = runs(task.first_block, task.kv_head);
      const int n_rows = task.n_rows * config_.group_size();
      const auto n_blocks = static_cast<int>(kernels::n_blocks_at_most(cells));
      const int n_parts = std::min(n_wanted, n_blocks);
      const bool is_cut = task.n_blocks == 1 && !block(task.first_block).gathers_weights() &&
                          n_rows <= static_cast<int>(kernels::kAttentionRows) && n_parts > 1 &&
                          kernels::n_cells_of(cells) >= kCellsWorthSplitting;
      if (!is_cut) {
        cut.push_back(task);
        continue;
      }
      if (out_.splits.size() == results_.size()) results_.emplace_back();
      kernels::BlockResults& results = results_[out_.splits.size()];
      results.reserve(static_cast<size_t>(n_blocks), static_cast<size_t>(n_rows),
                      static_cast<size_t>(config_.head_dim));
      out_.splits.emplace_back(&results, n_parts);
      for (int part = 0; part < n_parts; ++part) {
        AttendTask& one = cut.emplace_back(task);
        one.part = part;
        one.n_parts = n_parts;
        one.split = static_cast<int>(out_.splits.size()) - 1;
      }
    }
    out_.tasks = std::move(cut);
  }

  const std::vector<RowBlock>& blocks_;
  const std::vector<HeadPlan>& heads_;
  const model::ModelConfig& config_;
  const int n_tasks_wanted_;
  std::deque<kernels::BlockResults>& results_;
  AttendPlan out_;
};

}  // namespace

AttendPlan plan_attention(const std::vector<RowBlock>& blocks, const std::vector<HeadPlan>& heads,
                          const model::ModelConfig& config, int n_threads,
                          std::deque<kernels::BlockResults>& results) {
  return Planner(blocks, heads, config, n_threads, results).plan(n_threads);
}

}  // namespace ebb::engine
