// Memory really comes and goes: the arena, what resident memory does, and a store that runs out.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#if defined(__linux__)
#include <sys/resource.h>
#endif

#include "base/error.h"
#include "base/platform.h"
#include "failing_allocator.h"
#include "kv/sequence_cells.h"

namespace ebb::kv {
namespace {

TEST(PageArena, RoundsUpToSystemPagesAndCountsLivePages) {
  PageArena arena(1000);
  EXPECT_EQ(arena.page_bytes(), platform::system_page_bytes());
  std::byte* a = arena.allocate();
  std::byte* b = arena.allocate();
  EXPECT_EQ(arena.bytes_live(), 2 * arena.page_bytes());
  arena.release(a);
  EXPECT_EQ(arena.n_pages_live(), 1U);
  arena.release(b);
  arena.trim();
  EXPECT_EQ(arena.bytes_live(), 0U);
}

TEST(PageArena, PagesNeverOverlapWhateverComesAndGoes) {
  PageArena arena(16 << 10);
  std::mt19937 generator(8);
  std::vector<std::pair<std::byte*, uint8_t>> live;
  const auto is_whole = [&](const auto& page) {
    const std::byte mark{page.second};
    return page.first[0] == mark && page.first[arena.page_bytes() - 1] == mark;
  };
  for (int i = 0; i < 8000; ++i) {
    if (live.empty() || generator() % 5 < (i < 4000 ? 3U : 2U)) {
      const auto mark = static_cast<uint8_t>(generator());
      std::byte* page = arena.allocate();
      std::memset(page, mark, arena.page_bytes());
      live.emplace_back(page, mark);
    } else {
      std::swap(live[generator() % live.size()], live.back());
      ASSERT_TRUE(is_whole(live.back()));
      arena.release(live.back().first);
      live.pop_back();
    }
    if (generator() % 200 == 0) arena.trim();
  }
  for (const auto& page : live) ASSERT_TRUE(is_whole(page));
  EXPECT_EQ(arena.n_pages_live(), live.size());
}

TEST(PageArena, GivingPagesBackNeedsNoMemory) {
  PageArena arena(16 << 10);
  std::vector<std::byte*> pages;
  for (int i = 0; i < 3000; ++i) pages.push_back(arena.allocate());  // several chunks
  const FailingAllocator allocator(0);
  for (std::byte* page : pages) arena.release(page);
  arena.trim();
  EXPECT_FALSE(allocator.has_failed());
  EXPECT_EQ(arena.bytes_live(), 0U);
}

#if defined(__linux__)
// A cap gives pages back and wants as many again: the system is not asked each time.
TEST(PageArena, KeepsALittleOfWhatIsFreeForTheNextPage) {
  if (platform::resident_bytes() == 0) GTEST_SKIP() << "resident memory is unknown here";
  PageArena arena(16 << 10);
  std::vector<std::byte*> pages;
  for (int i = 0; i < 2000; ++i) {
    pages.push_back(arena.allocate());
    std::memset(pages.back(), 1, arena.page_bytes());
  }
  const auto release = [&](size_t n) {
    for (size_t i = 0; i < n; ++i) {
      arena.release(pages.back());
      pages.pop_back();
    }
    arena.trim();
  };
  [[maybe_unused]] const size_t full = platform::resident_bytes();
  release(100);  // 1.6 MB of 32
  std::byte* again = arena.allocate();
  EXPECT_EQ(again[0], std::byte{1}) << "its memory was given back";
  arena.release(again);
  release(900);
  again = arena.allocate();
  EXPECT_EQ(again[0], std::byte{0}) << "half of all is more than a little";
  arena.release(again);
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_NEAR(static_cast<double>(full - platform::resident_bytes()), 1000.0 * (16 << 10), 4e6);
#endif
  release(1000);
  EXPECT_EQ(arena.bytes_live(), 0U);
}

// The last page takes along what was kept for it, and a large cache keeps more than a small one.
TEST(PageArena, KeepsInProportionAndNothingWithoutALivePage) {
  if (platform::resident_bytes() == 0) GTEST_SKIP() << "resident memory is unknown here";
  const auto first_byte_after = [](size_t n_pages, size_t n_released) {
    PageArena arena(16 << 10);
    std::vector<std::byte*> pages;
    for (size_t i = 0; i < n_pages; ++i) {
      pages.push_back(arena.allocate());
      std::memset(pages.back(), 1, arena.page_bytes());
    }
    for (size_t i = 0; i < n_released; ++i) {
      arena.release(pages.back());
      pages.pop_back();
    }
    arena.trim();
    std::byte* next = arena.allocate();
    const auto found = static_cast<int>(next[0]);
    arena.release(next);
    for (std::byte* page : pages) arena.release(page);
    arena.trim();
    return found;
  };
  EXPECT_EQ(first_byte_after(10000, 500), 1) << "8 MB of 155 are less than a sixteenth";
  EXPECT_EQ(first_byte_after(10000, 700), 0) << "11 MB of 152 are more";
  EXPECT_EQ(first_byte_after(20, 20), 0) << "nothing is live";
}
#endif

TEST(PageArena, AFailedAllocationIsTakenBack) {
  for (long n = 0;; ++n) {
    PageArena arena(16 << 10);
    std::byte* page = nullptr;
    const FailingAllocator allocator(n);
    try {
      page = arena.allocate();
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(arena.n_pages_live(), 0U);
      page = arena.allocate();
    }
    EXPECT_EQ(arena.n_pages_live(), 1U);
    arena.release(page);
    arena.trim();
    EXPECT_EQ(arena.bytes_live(), 0U);
    if (!allocator.has_failed()) break;
  }
}

#if !defined(__SANITIZE_ADDRESS__)
// Random evictions free pages all over; resident memory must follow what the pool accounts for.
TEST(PagePool, ResidentMemoryFollowsTheAccountedBytes) {
  if (platform::resident_bytes() == 0) GTEST_SKIP() << "resident memory is unknown here";
  PagePool pool({CellType::kF32, 64});  // 32 cells a page
  const size_t at_start = platform::resident_bytes();
  SequenceCells cells(pool, {2, {0, 0}}, PositionMode::kOriginal);
  cells.append(std::vector<SpanId>(40960));  // about 80 MB
  for (int layer = 0; layer < 2; ++layer) {
    for (int h = 0; h < 2; ++h) {
      for (const HeadCells::Part& part : cells.head(layer, h).parts()) {
        std::memset(part.page->data, 1, pool.format().page_bytes());
      }
    }
  }
  const auto resident = [&] { return static_cast<double>(platform::resident_bytes() - at_start); };
  const auto live = [&] { return static_cast<double>(pool.bytes_live()); };
  EXPECT_NEAR(resident() / live(), 1.0, 0.1);
  // Half of the cells, in runs of 64 so that pages fall free all over the chunks.
  KeptCells kept(2, std::vector<std::vector<uint32_t>>(2));
  for (auto& layer : kept) {
    for (auto& head : layer) {
      for (uint32_t i = 0; i < 40960; ++i) {
        if (i / 64 % 2 == 0) head.push_back(i);
      }
    }
  }
  const double before = live();
  cells.evict(kept, {});
  EXPECT_EQ(live(), before / 2);
  EXPECT_NEAR(resident() / live(), 1.0, 0.1);
}
#endif

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
// Lets the process map only a little more for the lifetime of this.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(size_t more_bytes) {
    getrlimit(RLIMIT_AS, &before_);
    size_t n_pages = 0;
    std::ifstream("/proc/self/statm") >> n_pages;
    rlimit tight = before_;
    tight.rlim_cur = n_pages * platform::system_page_bytes() + more_bytes;
    setrlimit(RLIMIT_AS, &tight);
  }
  ~AddressSpaceLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(SequenceCells, RunningOutOfMemoryLeavesTheSequenceAsItWas) {
  // Different amounts, so that different allocations are the one that fails.
  for (size_t megabytes = 40; megabytes < 64; megabytes += 2) {
    const PositionMode mode = megabytes % 4 == 0 ? PositionMode::kOriginal : PositionMode::kCompact;
    PagePool pool({CellType::kF32, 64});
    SequenceCells cells(pool, {2, {0, 0}}, mode);
    cells.append(std::vector<SpanId>(100));
    const KeptCells kept(2, std::vector<std::vector<uint32_t>>(2, {0, 50, 99}));
    cells.evict(kept, [](int, const Page&, std::span<const int32_t>, std::byte*) {});
    cells.append(std::vector<SpanId>(29));  // the page is full: the next cell needs a fresh one
    const size_t live = pool.bytes_live();
    const std::vector<SpanId> many(400000);
    {
      const AddressSpaceLimit limit(megabytes << 20);
      try {
        cells.append(many);
        FAIL() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
      }
    }
    EXPECT_EQ(cells.next_ordinal().value, 129U);
    EXPECT_EQ(cells.n_cells_total(), 4U * 32U);
    EXPECT_EQ(pool.bytes_live(), live);
    EXPECT_EQ(cells.bytes_alone(), live);
    cells.append(std::vector<SpanId>(40));
    EXPECT_EQ(cells.n_cells_total(), 4U * 72U);
  }
}
#endif

}  // namespace
}  // namespace ebb::kv
