#include "policy/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "base/error.h"
#include "policy/allocator.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {
namespace {

HeadWork work_of(const std::vector<float>& scores, int64_t budget, int head = 0) {
  HeadWork work;
  work.head = head;
  work.cells = range(0, static_cast<uint32_t>(scores.size()));
  for (const uint32_t o : work.cells) work.ordinals.push_back({o});
  work.spans.resize(scores.size());
  work.score = scores;
  work.budget = budget;
  work.count = budget;
  return work;
}

using Cells = std::vector<uint32_t>;
using Counts = std::vector<int64_t>;

TEST(Selection, among_equals_the_more_recent_stays) {
  EXPECT_EQ(select_cells(work_of({1, 1, 1, 1, 2}, 3), {}, event_at(5)), (Cells{2, 3, 4}));
}

// What a cap does at each step, against its definition: of the cells that may go the lowest score,
// among equals the oldest.
TEST(Selection, a_cap_drops_the_worst_cell_of_any_list) {
  std::mt19937 generator(5);
  const auto draw = [&](uint32_t n) { return static_cast<uint32_t>(generator() % n); };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float few[] = {-kInfinity, -1.0F, -0.0F, 0.0F, 0.5F, kInfinity, kInfinity};
  for (const uint32_t n : {1U, 2U, 63U, 64U, 65U, 127U, 128U, 200U}) {
    for (int trial = 0; trial < 60; ++trial) {
      HeadWork work = work_of(std::vector<float>(n), n - 1);
      for (float& score : work.score) score = few[trial % 3 == 0 ? 5 : draw(std::size(few))];
      if (trial % 2 == 0) std::shuffle(work.ordinals.begin(), work.ordinals.end(), generator);
      work.is_protected.assign(n, 0);
      if (trial % 4 > 1) work.is_protected[draw(n)] = n > 1 ? 1 : 0;
      work.forced = {.first_ordinals = draw(std::min(n, 6U)), .last_cells = 0};
      const std::vector<uint8_t> stays = stays_anyway(work, n - 1);
      uint32_t worst = n;
      for (uint32_t i = 0; i < n; ++i) {
        if (stays[i] != 0) continue;
        const bool is_first = worst == n;
        if (is_first || work.score[i] < work.score[worst] ||
            (work.score[i] == work.score[worst] && work.ordinals[i] < work.ordinals[worst])) {
          worst = i;
        }
      }
      Cells expected = work.cells;
      expected.erase(expected.begin() + worst);
      ASSERT_EQ(select_cells(work, {}, event_at(n)), expected) << n << " cells, trial " << trial;
    }
  }
}

TEST(Selection, forced_cells_are_clipped_to_the_budget_sinks_first) {
  HeadWork work = work_of({9, 8, 7, 6, 5, 4}, 3);
  work.forced = {.first_ordinals = 2, .last_cells = 3};
  EXPECT_EQ(select_cells(work, {}, event_at(6)), (Cells{0, 1, 5}));
}

TEST(Selection, the_oldest_sinks_stay_in_whatever_order_cells_are_listed) {
  HeadWork work = work_of({9, 8, 7, 6}, 2);
  work.ordinals = {{2}, {0}, {3}, {1}};
  work.forced = {.first_ordinals = 3, .last_cells = 0};
  EXPECT_EQ(select_cells(work, {}, event_at(4)), (Cells{1, 3}));
}

TEST(Selection, critical_takes_half_by_the_first_score_and_the_rest_by_the_second) {
  HeadWork work = work_of({9, 8, 7, 6, 1, 1}, 4);
  work.second = {0, 0, 1, 2, 9, 8};
  EXPECT_EQ(select_cells(work, {}, event_at(6)), (Cells{0, 1, 4, 5}));
}

TEST(Selection, span_quotas_keep_every_span_its_share) {
  HeadWork work = work_of({9, 9, 9, 9, 9, 9, 1, 2, 3}, 5);
  for (size_t i = 6; i < 9; ++i) work.spans[i] = {1};
  Allocator fair;
  fair.kind = AllocatorKind::kSpanQuota;
  // 5 * 6/9 = 3.33 and 5 * 3/9 = 1.67: the larger remainder gets the odd cell.
  EXPECT_EQ(select_cells(work, fair, event_at(9)), (Cells{3, 4, 5, 7, 8}));
}

TEST(Selection, a_quota_grows_for_what_is_protected_in_its_span) {
  HeadWork work = work_of({9, 9, 9, 9, 9, 9, 1, 2, 3}, 4);
  for (size_t i = 6; i < 9; ++i) work.spans[i] = {1};
  work.is_protected = {0, 0, 0, 0, 0, 0, 1, 1, 1};
  Allocator fair;
  fair.kind = AllocatorKind::kSpanQuota;
  EXPECT_EQ(select_cells(work, fair, event_at(9)), (Cells{5, 6, 7, 8}));
}

TEST(Selection, chunks_are_scored_by_their_mean_over_cells_and_heads) {
  std::vector<HeadWork> heads = {work_of({1, 3, 0, 0, 9}, 3, 0), work_of({2, 2, 5, 5, 1}, 3, 1)};
  score_by_chunk(heads, 2);
  EXPECT_EQ(heads[0].score, (std::vector<float>{4, 4, 5, 5, 10}));
  EXPECT_EQ(heads[1].score, heads[0].score);
  EXPECT_EQ(select_cells(heads[0], {}, event_at(5)), (Cells{2, 3, 4}));
}

TEST(Selection, chunks_refuse_heads_with_different_cells) {
  std::vector<HeadWork> heads = {work_of({1, 2}, 1, 0), work_of({1, 2, 3}, 1, 1)};
  EXPECT_THROW(score_by_chunk(heads, 2), Error);
}

TEST(Apportion, gives_the_largest_remainders_the_odd_cells) {
  const Counts none = {0, 0, 0};
  const Counts many = {100, 100, 100};
  EXPECT_EQ(apportion(10, Counts{1, 1, 1}, none, many), (Counts{3, 3, 4}));
  EXPECT_EQ(apportion(7, Counts{5, 3, 2}, none, many), (Counts{4, 2, 1}));
  EXPECT_EQ(apportion(4, Counts{0, 0, 0}, none, many), (Counts{1, 1, 2}));
}

TEST(Apportion, respects_bounds_and_adds_up) {
  EXPECT_EQ(apportion(10, Counts{8, 1, 1}, Counts{0, 0, 0}, Counts{3, 9, 9}), (Counts{3, 3, 4}));
  EXPECT_EQ(apportion(10, Counts{8, 1, 1}, Counts{0, 4, 0}, Counts{9, 9, 9}), (Counts{5, 4, 1}));
  EXPECT_EQ(apportion(100, Counts{1, 1}, Counts{0, 0}, Counts{3, 4}), (Counts{3, 4}));
  EXPECT_EQ(apportion(0, Counts{1, 1}, Counts{2, 0}, Counts{3, 4}), (Counts{2, 0}));
}

TEST(Apportion, adds_up_for_many_random_bounds) {
  const KeyedRandom random(1, 2, RandomUse::kData);
  for (uint32_t round = 0; round < 2000; ++round) {
    Counts weights, lower, upper;
    int64_t low = 0;
    int64_t high = 0;
    for (uint32_t i = 0; i < 6; ++i) {
      weights.push_back(random.u32(round, i, 0) % 5);
      lower.push_back(random.u32(round, i, 1) % 4);
      upper.push_back(lower.back() + random.u32(round, i, 2) % 9);
      low += lower.back();
      high += upper.back();
    }
    const int64_t total = random.u32(round, 9) % 60;
    const Counts shares = apportion(total, weights, lower, upper);
    int64_t sum = 0;
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_GE(shares[i], lower[i]);
      EXPECT_LE(shares[i], upper[i]);
      sum += shares[i];
    }
    EXPECT_EQ(sum, std::clamp(total, low, high));
  }
}

TEST(Allocator, ada_floor_lets_the_layers_best_cells_decide_above_a_floor) {
  std::vector<HeadWork> heads = {work_of({9, 8, 7, 6, 5}, 3, 0), work_of({1, 1, 1, 1, 2}, 3, 1)};
  Allocator ada;
  ada.kind = AllocatorKind::kAdaFloor;
  ada.alpha = Ratio::parse("0.34");
  allocate(ada, heads);
  EXPECT_EQ(heads[0].count, 5);  // floor of 1 each, then the four best of the layer
  EXPECT_EQ(heads[1].count, 1);
}

TEST(Allocator, global_shares_over_layers_and_leaves_every_head_a_cell) {
  std::vector<HeadWork> heads = {work_of({9, 8, 7, 6}, 2, 0), work_of({0, 0, 0, 0}, 2, 0)};
  heads[1].layer = 1;
  Allocator global;
  global.kind = AllocatorKind::kGlobal;
  allocate(global, heads);
  EXPECT_EQ(heads[0].count, 3);
  EXPECT_EQ(heads[1].count, 1);
}

TEST(Allocator, a_pyramid_that_cannot_stand_says_so) {
  std::vector<HeadWork> heads = {work_of({1, 2, 3, 4, 5, 6}, 2), work_of({1, 2, 3, 4, 5, 6}, 2)};
  heads[1].layer = 1;
  for (HeadWork& head : heads) head.forced.last_cells = 2;
  for (const auto kind : {AllocatorKind::kPyramid, AllocatorKind::kPyramidKvpress}) {
    Allocator pyramid;
    pyramid.kind = kind;
    const auto notices = allocate(pyramid, heads);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_NE(notices[0].find("fell back to uniform"), std::string::npos);
    EXPECT_EQ(heads[0].count, 2);
  }
}

TEST(Allocator, the_papers_pyramid_falls_over_the_layers_and_adds_up) {
  std::vector<HeadWork> works;
  for (int layer = 0; layer < 5; ++layer) {
    works.push_back(work_of(std::vector<float>(200, 0.0F), 40));
    works.back().layer = layer;
    works.back().forced.last_cells = 8;
  }
  Allocator pyramid;
  pyramid.kind = AllocatorKind::kPyramid;
  pyramid.beta = 4;
  EXPECT_TRUE(allocate(pyramid, works).empty());
  // base 32: from 2 * 32 - 8 = 56 down to 8, plus the window of 8.
  const Counts want = {64, 52, 40, 28, 16};
  for (size_t l = 0; l < 5; ++l) EXPECT_EQ(works[l].count, want[l]);
}

}  // namespace
}  // namespace ebb::policy::testing
