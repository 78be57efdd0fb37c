// Attention over paged cells: equal to the formula in double, and not one bit moved by pages,
// evicted neighbours or other rows.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <numeric>
#include <tuple>

#include "attention_case.h"
#include "dice.h"
#include "property.h"

namespace ebb::kernels {
namespace {

constexpr PageShape kFullPage[] = {{64, 0}};
constexpr PageShape kRaggedPages[] = {{5, 0}, {16, 3}, {1, 15}, {33, 7}, {64, 0}, {2, 20}, {40, 9}};

// Ordinals with gaps, over several of the kernel's blocks of 256.
std::vector<uint32_t> gappy_ordinals(size_t n, uint32_t seed, uint32_t max_gap = 4) {
  Dice dice(seed);
  std::vector<uint32_t> out;
  uint32_t ordinal = 0;
  for (size_t i = 0; i < n; ++i) {
    ordinal += 1 + dice(max_gap);
    out.push_back(ordinal);
  }
  return out;
}

AttentionShape shape_of(int head_dim, CellType type, float softcap = 0.0F, uint32_t window = 0) {
  return {.head_dim = head_dim,
          .type = type,
          .scale = 1.0F / std::sqrt(static_cast<float>(head_dim)),
          .softcap = softcap,
          .window = window};
}

// Queries at, between and after the cells, several heads of each token.
std::vector<Query> queries_around(const HeadCase& head) {
  const uint32_t last = head.ordinals.back();
  const uint32_t ordinals[] = {head.ordinals.front(),
                               head.ordinals[head.n_cells() / 2],
                               head.ordinals[head.n_cells() / 2],
                               last - 1,
                               last,
                               last,
                               last + 9};
  return make_queries(head, ordinals);
}

void expect_near_reference(const HeadCase& head, std::span<const Query> queries,
                           std::span<const float> out, double tolerance) {
  for (size_t r = 0; r < queries.size(); ++r) {
    const ReferenceRow exact = attend_reference(head, queries[r]);
    for (size_t c = 0; c < head.dim(); ++c) {
      ASSERT_NEAR(exact.out[c], out[r * head.dim() + c], tolerance)
          << "row " << r << " channel " << c;
    }
  }
}

using Variant = std::tuple<int, CellType, float, uint32_t>;  // head_dim, type, softcap, window
class AttentionFormula : public testing::TestWithParam<Variant> {};

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionFormula,
                         testing::Combine(testing::Values(16, 64, 80, 256),
                                          testing::Values(CellType::kF32, CellType::kF16,
                                                          CellType::kBf16),
                                          testing::Values(0.0F, 2.0F), testing::Values(0U, 100U)));

TEST_P(AttentionFormula, EqualsDoublePrecisionOverRaggedPages) {
  const auto [head_dim, type, softcap, window] = GetParam();
  const HeadCase head(shape_of(head_dim, type, softcap, window), gappy_ordinals(300, 3));
  const std::vector<Query> queries = queries_around(head);
  const PagedHead paged(head, kRaggedPages);
  expect_near_reference(head, queries, attend_paged(head.shape, paged, queries), 3e-6);
}

TEST(Attention, WindowEndsExactlyAtTheDistanceOfTheWindow) {
  std::vector<uint32_t> ordinals(40);
  std::iota(ordinals.begin(), ordinals.end(), 0U);
  for (const uint32_t window : {1U, 2U, 15U, 16U, 17U, 39U, 40U}) {
    const HeadCase head(shape_of(16, CellType::kF32, 0.0F, window), ordinals);
    const uint32_t at[] = {38, 39};
    const std::vector<Query> queries = make_queries(head, at);
    const PagedHead paged(head, kFullPage);
    expect_near_reference(head, queries, attend_paged(head.shape, paged, queries), 2e-6);
    HeadCase off_by_one = head;
    ++off_by_one.shape.window;
    const std::vector<float> wrong = attend_paged(off_by_one.shape, paged, queries);
    const std::vector<float> right = attend_paged(head.shape, paged, queries);
    // A window of 40 already sees all cells from ordinal 39.
    if (window < 40) {
      EXPECT_NE(right, wrong) << window;
    }
  }
}

TEST(Attention, QueryDoesNotSeeWhatWasBornAfterIt) {
  const HeadCase head(shape_of(16, CellType::kF32), {0, 1, 2, 3});
  const uint32_t at[] = {2};
  const std::vector<Query> queries = make_queries(head, at);
  HeadCase other = head;
  for (size_t c = 0; c < head.dim(); ++c) {
    other.keys[3 * head.dim() + c] = 9.0F;
    other.values[3 * head.dim() + c] = -9.0F;
  }
  EXPECT_EQ(attend_paged(head.shape, PagedHead(head, kFullPage), queries),
            attend_paged(head.shape, PagedHead(other, kFullPage), queries));
  // The cell at the query's own ordinal is seen.
  for (size_t c = 0; c < head.dim(); ++c) other.values[2 * head.dim() + c] += 1.0F;
  EXPECT_NE(attend_paged(head.shape, PagedHead(head, kFullPage), queries),
            attend_paged(head.shape, PagedHead(other, kFullPage), queries));
}

TEST(Attention, RowThatSeesNothingIsAllZero) {
  HeadCase head(shape_of(16, CellType::kF32, 0.0F, 4), {0, 1, 2});
  const uint32_t at[] = {50};
  const std::vector<Query> queries = make_queries(head, at);
  const std::vector<float> zero(16, 0.0F);
  EXPECT_EQ(attend_paged(head.shape, PagedHead(head, kFullPage), queries), zero);
  head.shape.window = 0;
  head.hidden = {1, 1, 1};
  EXPECT_EQ(attend_paged(head.shape, PagedHead(head, kFullPage), queries), zero);
  EXPECT_EQ(attend_paged(head.shape, PagedHead(head.without_hidden(), kFullPage), queries), zero);
}

TEST(Attention, NotANumberInAKeyAQueryOrAValueReachesTheOutput) {
  const HeadCase head(shape_of(64, CellType::kF16), gappy_ordinals(600, 5, 2));
  const uint32_t at[] = {head.ordinals.back(), head.ordinals.back(), head.ordinals[3]};
  const std::vector<Query> queries = make_queries(head, at);
  const auto n_nan = [&](const HeadCase& broken, std::span<const Query> rows, size_t row) {
    const std::vector<float> out = attend_paged(head.shape, PagedHead(broken, kFullPage), rows);
    return std::count_if(out.begin() + static_cast<std::ptrdiff_t>(row * head.dim()),
                         out.begin() + static_cast<std::ptrdiff_t>((row + 1) * head.dim()),
                         [](float x) { return std::isnan(x); });
  };
  for (const size_t cell : {size_t{0}, size_t{257}, size_t{599}}) {
    HeadCase bad_key = head;
    bad_key.keys[cell * head.dim() + 11] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(n_nan(bad_key, queries, 0), 64) << cell;
    HeadCase bad_value = head;
    bad_value.values[cell * head.dim() + 11] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(n_nan(bad_value, queries, 0), 1) << cell;
    if (cell > 3) {
      EXPECT_EQ(n_nan(bad_key, queries, 2), 0) << "an older query does not see it";
    }
  }
  std::vector<Query> bad_query = queries;
  bad_query[1].numbers[63] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(n_nan(head, bad_query, 1), 64);
  EXPECT_EQ(n_nan(head, bad_query, 0), 0) << "rows of one call share nothing but the cells";
}

// A random head, random pages and random queries.
struct RandomCase {
  HeadCase head;
  std::vector<PageShape> pages;
  std::vector<Query> queries;
};

RandomCase random_case() {
  const auto seed = *rc::gen::arbitrary<uint32_t>();
  const auto type = *rc::gen::element(CellType::kF32, CellType::kF16, CellType::kBf16);
  const auto head_dim = *rc::gen::element(16, 64, 80);
  const auto window = *rc::gen::element(0U, 7U, 300U);
  const auto n_cells = *rc::gen::inRange<size_t>(1, 700);
  HeadCase head(shape_of(head_dim, type, *rc::gen::element(0.0F, 3.0F), window),
                gappy_ordinals(n_cells, seed, *rc::gen::inRange(1U, 5U)), seed);
  Dice dice(seed ^ 0x9E3779B9U);
  for (uint8_t& h : head.hidden) h = dice(3) == 0 ? 1 : 0;
  std::vector<PageShape> pages;
  for (int i = 0; i < 8; ++i) pages.push_back({1 + dice(70), dice(20)});
  std::vector<uint32_t> at;
  const auto n_rows = *rc::gen::inRange<size_t>(1, 60);
  for (size_t i = 0; i < n_rows; ++i) at.push_back(dice(head.ordinals.back() + 20));
  std::vector<Query> queries = make_queries(head, at, seed);
  return {std::move(head), std::move(pages), std::move(queries)};
}

TEST(AttentionProperty, PagesChangeNoBit) {
  check_property(150, [] {
    const RandomCase c = random_case();
    RC_ASSERT(attend_paged(c.head.shape, PagedHead(c.head, kFullPage), c.queries) ==
              attend_paged(c.head.shape, PagedHead(c.head, c.pages), c.queries));
  });
}

TEST(AttentionProperty, HiddenCellsChangeNoBitAgainstCellsThatAreGone) {
  check_property(150, [] {
    const RandomCase c = random_case();
    const HeadCase evicted = c.head.without_hidden();
    RC_PRE(evicted.n_cells() > 0);
    RC_ASSERT(attend_paged(c.head.shape, PagedHead(c.head, kFullPage), c.queries) ==
              attend_paged(c.head.shape, PagedHead(evicted, c.pages), c.queries));
  });
}

TEST(AttentionProperty, OtherRowsChangeNoBit) {
  check_property(100, [] {
    const RandomCase c = random_case();
    const PagedHead paged(c.head, c.pages);
    const std::vector<float> together = attend_paged(c.head.shape, paged, c.queries);
    for (size_t r = 0; r < c.queries.size(); ++r) {
      const std::vector<float> alone =
          attend_paged(c.head.shape, paged, std::span(&c.queries[r], 1));
      RC_ASSERT(std::equal(alone.begin(), alone.end(),
                           together.begin() + static_cast<std::ptrdiff_t>(r * c.head.dim())));
    }
  });
}

TEST(AttentionProperty, GatheringStatisticsChangesNoBit) {
  check_property(60, [] {
    const RandomCase c = random_case();
    const PagedHead paged(c.head, c.pages);
    std::vector<int64_t> sums(c.head.n_cells());
    const std::vector<uint32_t> target(c.queries.size(), 0);
    RC_ASSERT(attend_paged(c.head.shape, paged, c.queries) ==
              attend_paged(c.head.shape, paged, c.queries, {sums.data(), sums.size(), target}));
  });
}

TEST(WeightSums, EqualTheSoftmaxWeightsInDouble) {
  for (const uint32_t window : {0U, 60U}) {
    HeadCase head(shape_of(64, CellType::kF16, 0.0F, window), gappy_ordinals(500, 9));
    for (size_t i = 0; i < head.n_cells(); i += 5) head.hidden[i] = 1;
    const std::vector<Query> queries = queries_around(head);
    // Two sums, one row in neither.
    std::vector<uint32_t> target(queries.size(), 0);
    target[1] = 1;
    target[5] = 1;
    target[6] = WeightSums::kNoTarget;
    const size_t stride = head.n_cells() + 3;
    std::vector<int64_t> sums(2 * stride, 0);
    attend_paged(head.shape, PagedHead(head, kRaggedPages), queries, {sums.data(), stride, target});
    std::vector<double> exact(2 * stride, 0.0);
    for (size_t r = 0; r < queries.size(); ++r) {
      if (target[r] == WeightSums::kNoTarget) continue;
      const ReferenceRow row = attend_reference(head, queries[r]);
      for (size_t i = 0; i < head.n_cells(); ++i) exact[target[r] * stride + i] += row.weights[i];
    }
    for (size_t i = 0; i < sums.size(); ++i) {
      ASSERT_NEAR(exact[i], static_cast<double>(sums[i]) * WeightSums::kUnit, 1e-6) << i;
    }
  }
}

TEST(WeightSums, DoNotDependOnTheOrderOrTheCompanyOfRows) {
  const HeadCase head(shape_of(64, CellType::kF16), gappy_ordinals(300, 10));
  std::vector<Query> queries = queries_around(head);
  const PagedHead paged(head, kRaggedPages);
  const std::vector<uint32_t> target(queries.size(), 0);
  std::vector<int64_t> together(head.n_cells(), 0);
  attend_paged(head.shape, paged, queries, {together.data(), together.size(), target});
  std::vector<int64_t> one_by_one(head.n_cells(), 0);
  std::reverse(queries.begin(), queries.end());
  for (const Query& query : queries) {
    attend_paged(head.shape, paged, std::span(&query, 1),
                 {one_by_one.data(), one_by_one.size(), std::span(target).first(1)});
  }
  EXPECT_EQ(together, one_by_one);
}

TEST(WeightSums, AreTheSameWhereNobodyWantsTheOutput) {
  const HeadCase head(shape_of(64, CellType::kF16), gappy_ordinals(700, 12));
  const std::vector<Query> queries = queries_around(head);
  const PagedHead paged(head, kRaggedPages);
  const std::vector<uint32_t> target(queries.size(), 0);
  std::vector<int64_t> with(head.n_cells(), 0);
  attend_paged(head.shape, paged, queries, {with.data(), with.size(), target});
  std::vector<QueryRow> rows;
  for (const Query& query : queries) {
    rows.push_back({query.numbers.data(), Ordinal{query.ordinal}, nullptr});
  }
  std::vector<int64_t> without(head.n_cells(), 0);
  AttentionScratch scratch;
  attend(head.shape, paged.runs, rows, scratch, {without.data(), without.size(), target});
  EXPECT_EQ(with, without);
}

TEST(WeightSums, SumOfOneRowIsOne) {
  const HeadCase head(shape_of(80, CellType::kF32), gappy_ordinals(700, 11));
  const uint32_t at[] = {head.ordinals.back()};
  const std::vector<Query> queries = make_queries(head, at);
  std::vector<int64_t> sums(head.n_cells(), 0);
  const uint32_t target[] = {0};
  attend_paged(head.shape, PagedHead(head, kRaggedPages), queries,
               {sums.data(), sums.size(), target});
  const int64_t total = std::accumulate(sums.begin(), sums.end(), int64_t{0});
  EXPECT_NEAR(static_cast<double>(total) * WeightSums::kUnit, 1.0, 1e-5);
}

}  // namespace
}  // namespace ebb::kernels
