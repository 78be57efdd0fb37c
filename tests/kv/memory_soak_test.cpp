// Half a gigabyte of cells: what a large cache gives back is what the system gets back.
#include <gtest/gtest.h>

#include <cstring>

#include "base/platform.h"
#include "dice.h"
#include "kv/sequence_cells.h"

namespace ebb::kv {
namespace {

void fill(const SequenceCells& cells) {
  for (int layer = 0; layer < cells.shape().n_layers(); ++layer) {
    for (int h = 0; h < cells.shape().n_kv_heads; ++h) {
      for (const HeadCells::Part& part : cells.head(layer, h).parts()) {
        std::memset(part.page->data, 1, cells.format().page_bytes());
      }
    }
  }
}

TEST(LargeCache, ResidentMemoryFollowsRandomEvictionsWithinATenth) {
  if (platform::resident_bytes() == 0) GTEST_SKIP() << "resident memory is unknown here";
  PagePool pool({CellType::kF16, 64});
  SequenceCells cells(pool, {8, std::vector<uint32_t>(34, 0)}, PositionMode::kOriginal);
  const size_t at_start = platform::resident_bytes();
  cells.append(std::vector<SpanId>(8192));
  fill(cells);
  ASSERT_GE(pool.bytes_live(), size_t{512} << 20);
  Dice dice(1);
  // Half, then a tenth of each head, another set everywhere; then everything.
  for (const uint32_t percent : {100U, 50U, 20U, 0U}) {
    KeptCells kept(34, std::vector<std::vector<uint32_t>>(8));
    for (int layer = 0; layer < 34; ++layer) {
      for (int h = 0; h < 8; ++h) {
        auto& mine = kept[static_cast<size_t>(layer)][static_cast<size_t>(h)];
        for (uint32_t i = 0; i < cells.head(layer, h).n_cells(); ++i) {
          if (dice(100) < percent) mine.push_back(i);
        }
      }
    }
    cells.evict(kept, {});
    const auto resident =
        static_cast<double>(platform::resident_bytes()) - static_cast<double>(at_start);
    const auto live = static_cast<double>(pool.bytes_live());
    EXPECT_EQ(cells.bytes_alone(), pool.bytes_live());
    // 30 MB more for what describes the cells and the allocator's own slack.
    EXPECT_NEAR(resident, live, 0.1 * live + 30e6) << percent;
    // Nothing but the last page of each head may be partly empty.
    EXPECT_LE(live, static_cast<double>(cells.bytes_cells()) * 1.15 + 272.0 * 17e3) << percent;
  }
}

}  // namespace
}  // namespace ebb::kv
