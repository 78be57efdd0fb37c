#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {
namespace {

using Sets = std::vector<std::vector<std::vector<uint32_t>>>;

Sets drawn(uint32_t n, const ParamMap& params, int event = 0, uint64_t seed = 0,
           std::string_view conversation = "c") {
  FakeCache cache(small_shape());
  cache.append(0, n);
  const EvictionPlan plan =
      plan_once(cache, make_treatment("random", params), event_at(n, event), seed, conversation);
  Sets out;
  for (int layer = 0; layer < 3; ++layer) {
    auto& row = out.emplace_back();
    for (int head = 0; head < 2; ++head) row.push_back(cache.kept_ordinals(plan, layer, head));
  }
  return out;
}

size_t n_kept(uint32_t n, const std::string& rate) {
  return drawn(n, {{"retention_rate", rate}})[0][0].size();
}

TEST(Random, keeps_the_exact_floor_and_at_least_one) {
  EXPECT_EQ(n_kept(100, "0.29"), 29U);  // floor(100 * 0.29) is 28 in doubles
  EXPECT_EQ(n_kept(7, "0.5"), 3U);
  EXPECT_EQ(n_kept(100, "1"), 100U);
  EXPECT_EQ(n_kept(100, "0"), 1U);
  EXPECT_EQ(n_kept(1, "0.5"), 1U);
  EXPECT_EQ(n_kept(0, "0.5"), 0U);
}

TEST(Random, refuses_rates_that_are_not_a_share) {
  for (const char* rate : {"-0.1", "1.1", "nan", "inf", "", "half"}) {
    EXPECT_THROW(make_treatment("random", {{"retention_rate", rate}}), Error) << rate;
  }
}

TEST(Random, granularity_says_what_shares_a_draw) {
  const Sets token = drawn(100, {{"granularity", "token"}});
  EXPECT_EQ(token[0][0], token[0][1]);
  EXPECT_EQ(token[0][0], token[2][1]);
  const Sets layer = drawn(100, {{"granularity", "layer"}});
  EXPECT_EQ(layer[0][0], layer[0][1]);
  EXPECT_NE(layer[0][0], layer[1][0]);
  const Sets head = drawn(100, {{"granularity", "head"}});
  EXPECT_NE(head[0][0], head[0][1]);
  EXPECT_NE(head[0][0], head[1][0]);
}

TEST(Random, depends_on_seed_and_conversation_and_by_redraw_on_the_event) {
  EXPECT_EQ(drawn(100, {}), drawn(100, {}));
  EXPECT_NE(drawn(100, {}), drawn(100, {}, 0, 1));
  EXPECT_NE(drawn(100, {}), drawn(100, {}, 0, 0, "other"));
  EXPECT_NE(drawn(100, {}), drawn(100, {}, 1));
  EXPECT_EQ(drawn(100, {{"redraw", "fixed"}}), drawn(100, {{"redraw", "fixed"}}, 1));
}

TEST(Random, kinds_of_draw_share_no_numbers_even_at_the_first_layer_head_and_event) {
  const Sets fixed = drawn(100, {{"redraw", "fixed"}, {"granularity", "token"}});
  EXPECT_NE(fixed[0][0], drawn(100, {{"granularity", "token"}})[0][0]);
  EXPECT_NE(fixed[0][0], drawn(100, {{"redraw", "fixed"}, {"granularity", "layer"}})[0][0]);
  EXPECT_NE(fixed[0][0], drawn(100, {{"redraw", "fixed"}, {"granularity", "head"}})[0][0]);
}

TEST(Random, takes_a_token_budget_instead_of_a_rate) {
  EXPECT_EQ(drawn(100, {{"budget", "17"}})[1][1].size(), 17U);
  EXPECT_EQ(drawn(10, {{"budget", "17"}})[1][1].size(), 10U);
}

TEST(Random, every_ordinal_is_about_equally_likely) {
  std::vector<int> times(40, 0);
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Sets sets = drawn(40, {{"retention_rate", "0.5"}}, 0, seed);
    for (const uint32_t o : sets[0][0]) ++times[o];
  }
  for (const int n : times) EXPECT_NEAR(n, 200, 55);  // 5.5 standard deviations
}

// Share of the tokens of turn 0 that are left after each of four turns of 400 tokens at rate 0.5.
std::vector<double> survival(const ParamMap& params) {
  FakeCache cache(small_shape(1, 1, 1));
  Evictor evictor(make_treatment("random", params), cache.shape(), 3, "c");
  std::vector<double> curve;
  for (int turn = 0; turn < 4; ++turn) {
    const auto begin = static_cast<uint32_t>(turn) * 400;
    cache.append(begin, begin + 400);
    cache.apply(evictor.plan(cache, event_at(begin + 400, turn)));
    const auto& ordinals = cache.head(0, 0).ordinals;
    const auto n_old =
        std::count_if(ordinals.begin(), ordinals.end(), [](Ordinal o) { return o.value < 400; });
    curve.push_back(static_cast<double>(n_old) / 400.0);
  }
  return curve;
}

TEST(Random, redrawn_each_event_an_old_token_survives_k_events_with_rate_to_the_k) {
  const auto curve = survival({{"redraw", "event"}});
  for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(curve[k], std::pow(0.5, k + 1), 0.06) << k;
}

TEST(Random, drawn_once_for_life_the_survivors_go_on_surviving) {
  // Every turn brings 400 numbers spread evenly over (0, 1), and the cache keeps the highest half
  // of what it holds: the share of each turn above the cut is kept / (400 * turns): 200/400,
  // 300/800, 350/1200, 375/1600.
  const auto fixed = survival({{"redraw", "fixed"}});
  const std::vector<double> expected = {0.5, 0.375, 0.2917, 0.2344};
  for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(fixed[k], expected[k], 0.04) << k;
}

}  // namespace
}  // namespace ebb::policy::testing
