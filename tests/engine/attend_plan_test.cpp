// How attention's work is cut: every query row reads every cell once, whoever computes it.
#include "engine/attend_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "dice.h"
#include "property.h"

namespace ebb::engine {
namespace {

// Pages of made-up cells: only addresses and ordinals matter here.
class Pages {
 public:
  kernels::CellRun add(uint32_t first_ordinal, uint32_t n, Dice& dice) {
    std::vector<Ordinal>& ordinals = ordinals_.emplace_back();
    for (uint32_t i = 0; i < n; ++i) {
      ordinals.push_back(Ordinal{first_ordinal});
      first_ordinal += 1 + (dice(4) == 0 ? dice(30) : 0);
    }
    const auto* address = reinterpret_cast<const std::byte*>(ordinals.data());
    return {address, address, ordinals.data(), nullptr, 0, n, ordinals.front(), ordinals.back()};
  }

 private:
  std::deque<std::vector<Ordinal>> ordinals_;
};

uint32_t end_of(const std::vector<kernels::CellRun>& runs) {
  return runs.empty() ? 0 : runs.back().last.value + 1;
}

struct Batch {
  Pages pages;
  model::ModelConfig config;
  std::vector<RowBlock> blocks;
  std::vector<HeadPlan> heads;

  explicit Batch(uint32_t seed) {
    Dice dice(seed);
    config.n_kv_heads = 1 + static_cast<int>(dice(3));
    config.n_q_heads = config.n_kv_heads * (1 + static_cast<int>(dice(8)));
    config.head_dim = 16;
    const int n_blocks = 1 + static_cast<int>(dice(20));
    std::vector<std::vector<kernels::CellRun>> before(static_cast<size_t>(config.n_kv_heads));
    for (int b = 0; b < n_blocks; ++b) {
      RowBlock block;
      block.first_row = blocks.empty() ? 0 : blocks.back().first_row + blocks.back().n_rows;
      block.n_rows = dice(5) == 0 ? 1 + static_cast<int>(dice(90)) : 1;
      blocks.push_back(block);
      for (auto& runs : before) {
        // Some keep the first pages of the sequence before them, as forks do.
        runs.resize(dice(4) == 0 ? 0 : dice(static_cast<uint32_t>(runs.size()) + 1));
        const uint32_t n_pages = 1 + dice(25);
        for (uint32_t p = 0; p < n_pages; ++p) {
          runs.push_back(pages.add(end_of(runs), 1 + dice(64), dice));
        }
        HeadPlan& head = heads.emplace_back();
        head.runs = runs;
      }
    }
  }
};

// The cells that one row reads under a plan, by address.
using Seen = std::map<const Ordinal*, int>;

void read_cells(const std::vector<kernels::CellRun>& runs, uint32_t first, uint32_t end,
                Seen& seen) {
  for (const kernels::CellRun& run : runs) {
    for (uint32_t i = run.begin; i < run.end; ++i) {
      const Ordinal& ordinal = run.ordinals[i];
      if (ordinal.value >= first && ordinal.value < end) ++seen[&ordinal];
    }
  }
}

TEST(AttendPlan, EveryRowReadsEveryCellOnce) {
  check_property(60, [] {
    const Batch batch(*rc::gen::arbitrary<uint32_t>());
    const int n_threads = *rc::gen::inRange(1, 9);
    std::deque<kernels::BlockResults> results;
    const AttendPlan plan =
        plan_attention(batch.blocks, batch.heads, batch.config, n_threads, results);
    const auto n_heads = static_cast<size_t>(batch.config.n_kv_heads);
    const auto runs_of = [&](int block, int head) -> const std::vector<kernels::CellRun>& {
      return batch.heads[static_cast<size_t>(block) * n_heads + static_cast<size_t>(head)].runs;
    };
    std::map<std::pair<int, int>, Seen> seen;  // of a row and a head
    std::map<int, std::set<int>> parts;
    for (const AttendTask& task : plan.tasks) {
      RC_ASSERT(task.n_shared % kernels::kOrdinalBlock == 0U);
      int n_rows = 0;
      for (int b = task.first_block; b < task.first_block + task.n_blocks; ++b) {
        const RowBlock& block = batch.blocks[static_cast<size_t>(b)];
        const int n = task.n_blocks == 1 ? task.n_rows : block.n_rows;
        n_rows += n * batch.config.group_size();
        if (task.n_parts > 1 && !parts[task.split].insert(task.part).second) RC_FAIL("twice");
        if (task.n_parts > 1 && task.part > 0) continue;
        for (int row = 0; row < n; ++row) {
          Seen& cells = seen[{block.first_row + task.first_row + row, task.kv_head}];
          read_cells(runs_of(task.first_block, task.kv_head), 0, task.n_shared, cells);
          read_cells(runs_of(b, task.kv_head), task.n_shared, UINT32_MAX, cells);
        }
      }
      if (task.n_blocks > 1 || task.n_parts > 1) {
        RC_ASSERT(n_rows <= static_cast<int>(kernels::kAttentionRows));
      }
      if (task.n_parts > 1) RC_ASSERT(task.n_blocks == 1);
    }
    for (const AttendTask& task : plan.tasks) {
      if (task.n_parts > 1) {
        RC_ASSERT(parts[task.split].size() == static_cast<size_t>(task.n_parts));
      }
    }
    for (int b = 0; b < static_cast<int>(batch.blocks.size()); ++b) {
      const RowBlock& block = batch.blocks[static_cast<size_t>(b)];
      for (int head = 0; head < batch.config.n_kv_heads; ++head) {
        Seen all;
        read_cells(runs_of(b, head), 0, UINT32_MAX, all);
        for (int row = block.first_row; row < block.first_row + block.n_rows; ++row) {
          RC_ASSERT((seen[{row, head}] == all));
        }
      }
    }
  });
}

TEST(AttendPlan, ForksOfOnePromptReadItTogether) {
  Dice dice(1);
  Pages pages;
  model::ModelConfig config;
  config.n_kv_heads = 1;
  config.n_q_heads = 3;
  config.head_dim = 16;
  std::vector<kernels::CellRun> prompt;
  while (end_of(prompt) < 600) prompt.push_back(pages.add(end_of(prompt), 64, dice));
  std::vector<RowBlock> blocks(16);
  std::vector<HeadPlan> heads(16);
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i].first_row = static_cast<int>(i);
    blocks[i].n_rows = 1;
    heads[i].runs = prompt;
    heads[i].runs.push_back(pages.add(end_of(prompt), 1, dice));
  }
  std::deque<kernels::BlockResults> results;
  const AttendPlan plan = plan_attention(blocks, heads, config, 1, results);
  ASSERT_FALSE(plan.tasks.empty());
  EXPECT_LT(plan.tasks.size(), 8U);
  for (const AttendTask& task : plan.tasks) EXPECT_GE(task.n_shared, 512U);
}

}  // namespace
}  // namespace ebb::engine
