// Each scoring policy on an example that can be worked by hand.
#include <gtest/gtest.h>

#include "policy/catalogue.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {
namespace {

// One layer, one KV head, two query heads, two channels; the test fills what its policy looks at.
class ByHand : public ::testing::Test {
 protected:
  void fill(uint32_t n) {
    cache_.append(0, n);
    for (auto* signal : {&cells().keys, &cells().values}) signal->assign(2 * n, 0.0F);
  }
  FakeHead& cells() { return cache_.head(0, 0); }
  std::vector<uint32_t> kept(const std::string& policy, ParamMap params, int64_t budget) {
    params["budget"] = std::to_string(budget);
    const auto n = static_cast<int64_t>(cells().ordinals.size());
    const auto plan = plan_once(cache_, make_treatment(policy, params), event_at(n));
    return cache_.kept_ordinals(plan, 0, 0);
  }
  std::vector<float> scores(const std::string& policy, const ParamMap& params = {}) {
    const PolicySpec& spec = find_policy(policy);
    const auto instance = spec.make(Params(spec.params, params, policy));
    const auto n = static_cast<uint32_t>(cells().ordinals.size());
    cache_.set_window(n, std::max(1, instance->needs().attention_window));
    LayerScores out;
    out.rows.assign(1, std::vector<float>(n));
    const EventInfo event = event_at(n);
    const KeyedRandom random(0, 0, RandomUse::kEviction);
    instance->score({.event = event, .shape = cache_.shape(), .random = random}, cache_.layer(0),
                    out);
    return out.rows[0];
  }

  FakeCache cache_{small_shape(1, 1, 2, 2)};
};

using Cells = std::vector<uint32_t>;

TEST_F(ByHand, knorm_keeps_small_keys_and_skips_layers) {
  fill(4);
  cells().keys = {3, 4, 1, 0, 0, 2, 6, 8};  // norms 5, 1, 2, 10
  EXPECT_EQ(kept("knorm", {}, 2), (Cells{1, 2}));
  EXPECT_EQ(kept("knorm", {{"skip_layers", "1"}}, 2), (Cells{0, 1, 2, 3}));
}

TEST_F(ByHand, h2o_keeps_the_recent_half_and_the_heaviest_of_the_rest) {
  fill(6);
  cells().attention_sum = {1, 9, 2, 8, 0.5, 0.1F};
  EXPECT_EQ(kept("h2o", {}, 4), (Cells{1, 3, 4, 5}));
  EXPECT_EQ(kept("h2o", {}, 3), (Cells{1, 3, 5}));
  EXPECT_EQ(kept("h2o", {{"recent_share", "0"}}, 3), (Cells{1, 2, 3}));
}

TEST_F(ByHand, observed_attention_divides_by_queries_and_group) {
  fill(4);
  cells().attention_sum = {8, 3, 4, 1};  // 4, 3, 2, 1 queries of 2 heads
  EXPECT_EQ(scores("observed_attention"), (std::vector<float>{1, 0.5, 1, 0.5}));
}

TEST_F(ByHand, tova_takes_the_mean_over_heads_of_the_last_query) {
  fill(4);
  cells().attention_window = {0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.2F, 0.3F, 0};
  EXPECT_EQ(kept("tova", {}, 2), (Cells{0, 2}));  // 0.3, 0.2, 0.3, 0.2
  EXPECT_EQ(kept("tova", {{"keep_last", "on"}}, 2), (Cells{2, 3}));
}

TEST(Tova, means_over_all_heads_of_a_layer_match_cells_by_ordinal) {
  FakeCache cache(small_shape(1, 2, 1, 2));
  cache.append(0, 3);
  EvictionPlan ragged;
  ragged.kept = {{{0, 1, 2}, {1, 2}}};
  cache.apply(ragged);
  cache.head(0, 0).attention_window = {0.5, 0.1F, 0.4F};
  cache.head(0, 1).attention_window = {0.9F, 0.1F};
  const auto plan = plan_once(cache, make_treatment("tova", {{"budget", "1"}}), event_at(3));
  EXPECT_EQ(cache.kept_ordinals(plan, 0, 0), (Cells{1}));  // (0.1 + 0.9) / 2 beats 0.5 / 2
  const auto by_head =
      plan_once(cache, make_treatment("tova_head", {{"budget", "1"}}), event_at(3));
  EXPECT_EQ(cache.kept_ordinals(by_head, 0, 0), (Cells{0}));
}

TEST_F(ByHand, snapkv_pools_before_the_window_and_keeps_the_window) {
  fill(7);
  // Two window queries; sums over both, one row a query head.
  cells().attention_window = {0, 6, 0, 0, 3, 1, 1, 0, 6, 0, 0, 3, 1, 1};
  const ParamMap params = {{"window", "2"}, {"kernel", "3"}};
  // Cells 0..4: (0+0+6)/3/2, (0+6+0)/3/2, (6+0+0)/3/2, (0+0+3)/3/2, (0+3+0)/3/2.
  EXPECT_EQ(scores("snapkv", params), (std::vector<float>{1, 1, 1, 0.5, 0.5, 0, 0}));
  EXPECT_EQ(kept("snapkv", params, 4), (Cells{1, 2, 5, 6}));
  ParamMap max = params;
  max["pool"] = "max";
  EXPECT_EQ(scores("snapkv", max), (std::vector<float>{3, 3, 3, 1.5, 1.5, 0, 0}));
}

TEST_F(ByHand, keydiff_keeps_keys_unlike_the_mean_direction) {
  fill(4);
  cells().keys = {1, 0, 9, 0, 0, 2, 5, 0};  // unit mean (3/4, 1/4): only cell 2 points elsewhere
  EXPECT_EQ(kept("keydiff", {}, 1), (Cells{2}));
  EXPECT_NEAR(scores("keydiff")[0], -3.0 / std::sqrt(10.0), 1e-6);
}

TEST_F(ByHand, lagkv_measures_a_block_by_the_range_of_the_next) {
  fill(7);
  // One sink, blocks {1, 2}, {3, 4}, tail {5, 6} as the last full block. Channel ranges of {3, 4}:
  // 0..1, 0..1.
  cells().keys = {0, 0, 1, 1, 0, 4, 0, 0, 1, 1, 0, 0, 1, 1};
  cells().values = cells().keys;
  const auto found = scores("lagkv", {{"n_sink", "1"}, {"lag", "2"}, {"cross", "on"}});
  // Spread over channels: cell 1 (1, 1) has none, cell 2 (0, 4) has 4 / sqrt(2).
  const double e = std::exp(4.0 / std::sqrt(2.0));
  EXPECT_NEAR(found[1], 1.0 / (1.0 + e), 1e-6);
  EXPECT_NEAR(found[2], e / (1.0 + e), 1e-6);
  EXPECT_EQ(kept("lagkv", {{"n_sink", "1"}, {"lag", "2"}}, 6), (Cells{0, 2, 3, 4, 5, 6}));
}

TEST_F(ByHand, lagkv_recursive_thins_a_block_once_and_never_looks_back) {
  const ParamMap params = {{"n_sink", "1"}, {"lag", "2"}, {"keep_ratio", "0.5"}};
  cache_.append(0, 5);
  Evictor evictor(make_treatment("lagkv_recursive", params), cache_.shape(), 0, "c");
  const auto first = evictor.plan(cache_, event_at(5));
  EXPECT_EQ(first.kept[0][0].size(), 4U);  // one of {1, 2} went; {3, 4} waits for its reference
  cache_.apply(first);
  EXPECT_EQ(evictor.plan(cache_, event_at(5)).kept[0][0].size(), 4U);
  cache_.append(5, 7);
  const auto second = evictor.plan(cache_, event_at(7));
  ASSERT_EQ(second.kept[0][0].size(), 5U);  // sink, survivor, one of {3, 4}, {5, 6}
  EXPECT_EQ(second.kept[0][0][1], 1U);
}

TEST_F(ByHand, expected_attention_is_the_softmax_of_the_mean_logit_times_the_value_norm) {
  fill(4);
  // Rotations over a whole turn's worth of positions are not needed: one future position, angle n *
  // 1 rad.
  cells().query_mean = {1, 0, 1, 0};
  cells().query_covariance.assign(8, 0.0F);
  cells().keys = {0, 0, 2, 0, 0, 2, 0, 0};
  cells().values = {1, 0, 1, 0, 1, 0, 3, 4};
  const auto found = scores("expected_attention", {{"n_future", "1"}, {"n_sink", "0"}});
  // The mean query turned by 4 radians is (cos 4, sin 4); scale 0.5.
  const std::vector<double> e = {1.0, std::exp(std::cos(4.0)), std::exp(std::sin(4.0)), 1.0};
  const double sum = e[0] + e[1] + e[2] + e[3];
  for (size_t t = 0; t < 4; ++t)
    EXPECT_NEAR(found[t], e[t] / sum * (t == 3 ? 5.0 : 1.0), 1e-6) << t;
}

}  // namespace
}  // namespace ebb::policy::testing
