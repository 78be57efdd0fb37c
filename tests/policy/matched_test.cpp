#include "policy/matched.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {
namespace {

TEST(MatchedLengths, are_exact_floors_and_never_nothing) {
  const std::vector<int64_t> lengths{3, 100, 1000};
  const MatchedBudget half = match_lengths(lengths, Ratio::parse("0.29"));
  EXPECT_EQ(half.schedule, (std::vector<int64_t>{1, 29, 290}));
  EXPECT_NE(half.label.find("0.29"), std::string::npos);
}

TEST(MatchedLengths, refuse_what_no_baseline_has) {
  EXPECT_THROW(match_lengths({}, Ratio::parse("0.5")), Error);
  EXPECT_THROW(match_lengths(std::vector<int64_t>{10, 9}, Ratio::parse("0.5")), Error);
  EXPECT_THROW(match_lengths(std::vector<int64_t>{0}, Ratio::parse("0.5")), Error);
}

TEST(MatchedLengths, give_every_policy_the_same_cells_whatever_it_has_seen) {
  const MatchedBudget budget = match_lengths(std::vector<int64_t>{40, 80}, Ratio::parse("0.25"));
  for (const char* name : {"streaming", "random", "knorm", "h2o", "lagkv"}) {
    const Treatment matched = with_matched_budget(make_treatment(name, {{"budget", "5"}}), budget);
    for (const uint32_t n : {50U, 61U}) {  // replies of other lengths than the baseline's
      FakeCache cache(small_shape());
      cache.append(0, n, 0);
      EventInfo event = event_at(n, 1);
      const std::vector<SpanInfo> spans(1);
      event.spans = spans;
      const EvictionPlan plan = plan_once(cache, matched, event);
      for (const auto& layer : plan.kept) {
        for (const auto& head : layer) EXPECT_EQ(head.size(), 20U) << name;
      }
    }
  }
}

TEST(MatchedBytes, are_the_most_that_does_not_exceed) {
  CacheShape shape = small_shape();  // 3 layers, 2 heads, 32 bytes a cell
  const std::vector<size_t> bytes{6 * 10 * 32 + 100, (4 * 20 + 2 * 8) * 32};
  const MatchedBudget all = match_bytes("lagkv_recursive", bytes, 0, shape);
  EXPECT_EQ(all.schedule, (std::vector<int64_t>{10, 16}));
  EXPECT_NE(all.label.find("lagkv_recursive"), std::string::npos);
  // 2 heads that hold no more than 8 leave more to the other 4.
  shape.is_sliding = {false, false, true};
  EXPECT_EQ(match_bytes("x", bytes, 8, shape).schedule, (std::vector<int64_t>{11, 20}));
}

TEST(MatchedBytes, of_an_arm_that_lost_nothing_are_its_whole_cache) {
  CacheShape shape = small_shape();
  shape.is_sliding = {false, false, true};
  const std::vector<size_t> bytes{(30 + 30 + 7) * 2 * 32};
  EXPECT_EQ(match_bytes("x", bytes, 7, shape).schedule, std::vector<int64_t>{30});
}

TEST(MatchedBytes, refuse_no_turns_and_too_little) {
  EXPECT_THROW(match_bytes("x", {}, 0, small_shape()), Error);
  EXPECT_THROW(match_bytes("x", std::vector<size_t>{5 * 32}, 0, small_shape()), Error);
}

TEST(Matched, policies_that_decide_for_themselves_are_not_given_a_budget) {
  const MatchedBudget budget = match_lengths(std::vector<int64_t>{40}, Ratio::parse("0.5"));
  EXPECT_THROW(with_matched_budget(make_treatment("lagkv_recursive"), budget), Error);
}

TEST(SeesQuery, is_told_by_the_trigger) {
  const auto sees = [](const char* trigger) {
    return sees_query(make_treatment("knorm", {{"budget", "8"}, {"trigger", trigger}}));
  };
  EXPECT_FALSE(sees("turn_end"));
  for (const char* trigger : {"prompt_end", "cap", "every_n:4", "prompt_block:8"}) {
    EXPECT_TRUE(sees(trigger)) << trigger;
  }
  EXPECT_TRUE(sees_query(make_treatment("snapkv_query", {{"budget", "8"}})));
  EXPECT_FALSE(sees_query(make_treatment("none")));
}

}  // namespace
}  // namespace ebb::policy::testing
