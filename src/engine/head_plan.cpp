#include "engine/head_plan.h"

#include "base/error.h"
#include "engine/signals.h"

namespace ebb::engine {

bool RowBlock::gathers_weights() const {
  return signals != nullptr && signals->needs().attention_sum;
}

void collect_runs(const kv::HeadCells& cells, const kv::CellFormat& format,
                  std::vector<kernels::CellRun>& runs) {
  runs.clear();
  uint32_t begin = cells.n_skipped();
  for (const kv::HeadCells::Part& part : cells.parts()) {
    if (part.n_cells > begin) {
      kernels::CellRun& run = runs.emplace_back();
      run.keys = part.key_data;
      run.values = part.page_data + format.key_page_bytes();
      run.begin = begin;
      run.end = part.n_cells;
      run.first = begin == 0 ? part.first : part.page->ordinals[begin];
      run.last = part.last;
      // Only these make it worth a look at the page.
      if (run.has_gaps()) run.ordinals = part.page->ordinals.data();
      if (part.has_hidden) run.hidden = part.page->hidden.data();
    }
    begin = 0;
  }
}

void plan_heads(const RowBlock& block, int layer, std::span<HeadPlan> out) {
  for (size_t h = 0; h < out.size(); ++h) {
    const kv::HeadCells& cells = block.sequence->cells().head(layer, static_cast<int>(h));
    HeadPlan& plan = out[h];
    plan.pos_shift = cells.pos_shift();
    collect_runs(cells, block.sequence->cells().format(), plan.runs);
    plan.new_cells.resize(static_cast<size_t>(block.n_rows));
    size_t left = plan.new_cells.size();
    for (size_t i = cells.parts().size(); i-- > 0 && left > 0;) {
      const kv::HeadCells::Part& part = cells.parts()[i];
      for (uint32_t cell = part.n_cells; cell-- > 0 && left > 0;) {
        plan.new_cells[--left] = {part.page, part.keys, cell};
      }
    }
    EBB_CHECK(left == 0);
  }
}

}  // namespace ebb::engine
