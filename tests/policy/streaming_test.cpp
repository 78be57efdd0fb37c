#include <gtest/gtest.h>

#include "base/error.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {
namespace {

std::vector<uint32_t> streamed(uint32_t n, const ParamMap& params) {
  FakeCache cache(small_shape());
  cache.append(0, n);
  const EvictionPlan plan = plan_once(cache, make_treatment("streaming", params), event_at(n));
  for (int layer = 0; layer < 3; ++layer) {
    for (int head = 0; head < 2; ++head) {
      EXPECT_EQ(cache.kept_ordinals(plan, layer, head), cache.kept_ordinals(plan, 0, 0));
    }
  }
  return cache.kept_ordinals(plan, 0, 0);
}

std::vector<uint32_t> joined(std::vector<uint32_t> a, const std::vector<uint32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Streaming, defaults_are_the_plans_100_and_100) {
  EXPECT_EQ(streamed(500, {}), joined(range(0, 100), range(400, 500)));
}

TEST(Streaming, leaves_a_head_alone_up_to_the_sum) {
  EXPECT_EQ(streamed(0, {}), range(0, 0));
  EXPECT_EQ(streamed(1, {}), range(0, 1));
  EXPECT_EQ(streamed(200, {}), range(0, 200));
  EXPECT_EQ(streamed(201, {}), joined(range(0, 100), range(101, 201)));
}

TEST(Streaming, either_number_may_be_zero_but_not_both) {
  EXPECT_EQ(streamed(10, {{"keep_initial", "3"}, {"keep_recent", "0"}}), range(0, 3));
  EXPECT_EQ(streamed(10, {{"keep_initial", "0"}, {"keep_recent", "3"}}), range(7, 10));
  EXPECT_THROW(make_treatment("streaming", {{"keep_initial", "0"}, {"keep_recent", "0"}}), Error);
  EXPECT_THROW(make_treatment("streaming", {{"keep_initial", "-1"}}), Error);
}

TEST(Streaming, a_token_budget_takes_sinks_first) {
  const ParamMap four = {{"keep_initial", "4"}, {"budget", "6"}};
  EXPECT_EQ(streamed(10, four), joined(range(0, 4), range(8, 10)));
  EXPECT_EQ(streamed(10, {{"keep_initial", "4"}, {"budget", "3"}}), range(0, 3));
  EXPECT_EQ(streamed(5, four), range(0, 5));
}

TEST(Streaming, a_sink_that_left_a_sliding_window_is_not_replaced) {
  FakeCache cache(small_shape());
  cache.append(50, 80);
  const EvictionPlan plan =
      plan_once(cache, make_treatment("streaming", {{"keep_initial", "10"}, {"keep_recent", "10"}}),
                event_at(80));
  EXPECT_EQ(cache.kept_ordinals(plan, 0, 0), range(70, 80));
}

TEST(Streaming, sinks_stay_the_first_ordinals_over_many_events) {
  FakeCache cache(small_shape());
  const Treatment treatment =
      make_treatment("streaming", {{"keep_initial", "4"}, {"keep_recent", "8"}});
  for (int turn = 0; turn < 5; ++turn) {
    const auto begin = static_cast<uint32_t>(turn) * 20;
    cache.append(begin, begin + 20);
    cache.apply(plan_once(cache, treatment, event_at(begin + 20, turn)));
  }
  const EvictionPlan plan = plan_once(cache, treatment, event_at(100, 5));
  EXPECT_EQ(cache.kept_ordinals(plan, 2, 1), joined(range(0, 4), range(92, 100)));
}

}  // namespace
}  // namespace ebb::policy::testing
