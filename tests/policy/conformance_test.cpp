// What every policy of the catalogue must do under a uniform budget. allocator_conformance_test.cpp
// has the pairs with allocators.
#include "policy/conformance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"

namespace ebb::policy::testing {
namespace {

class EveryPolicy : public ::testing::TestWithParam<std::string> {
 protected:
  Treatment treatment(const ParamMap& settings = {{"budget", "20"}}) const {
    return make_treatment(GetParam(), with(small_params(GetParam()), settings));
  }
};

TEST_P(EveryPolicy, fills_exactly_its_budget_in_every_head) {
  for (const int64_t budget : {1, 2, 7, 20, 59}) {
    FakeCache cache = full_cache();
    const auto plan =
        plan_once(cache, treatment({{"budget", std::to_string(budget)}}), last_event());
    expect_well_formed(plan);
    for (const auto& layer : plan.kept) {
      for (const auto& head : layer) EXPECT_EQ(head.size(), static_cast<size_t>(budget));
    }
  }
}

TEST_P(EveryPolicy, never_evicts_what_is_protected) {
  FakeCache cache = full_cache();
  const auto plan = plan_once(cache,
                              treatment({{"budget", "20"},
                                         {"protect_first", "2"},
                                         {"protect_last", "3"},
                                         {"protect_roles", "system"},
                                         {"protect_ordinals", "20,40-41"}}),
                              last_event());
  for (int layer = 0; layer < 3; ++layer) {
    for (int head = 0; head < 2; ++head) {
      const auto kept = cache.kept_ordinals(plan, layer, head);
      EXPECT_EQ(kept.size(), 20U);
      for (const uint32_t o : {0U, 1U, 5U, 9U, 20U, 40U, 41U, 57U, 58U, 59U}) {
        EXPECT_TRUE(std::binary_search(kept.begin(), kept.end(), o)) << o;
      }
    }
  }
}

TEST_P(EveryPolicy, refuses_a_protection_above_the_budget) {
  FakeCache cache = full_cache();
  const Treatment made = treatment({{"budget", "20"}, {"protect_instructions", "short"}});
  EXPECT_THROW(plan_once(cache, made, last_event()), Error);
}

TEST_P(EveryPolicy, keeps_all_at_a_budget_of_n_or_more) {
  for (const char* budget : {"60", "1000"}) {
    FakeCache cache = full_cache();
    const auto plan = plan_once(cache, treatment({{"budget", budget}}), last_event());
    EXPECT_EQ(n_total(plan), kHeads * kCells);
  }
}

TEST_P(EveryPolicy, the_same_seed_gives_the_same_cells) {
  FakeCache cache = full_cache();
  const auto first = plan_once(cache, treatment(), last_event(), 5);
  EXPECT_EQ(first.kept, plan_once(cache, treatment(), last_event(), 5).kept);
}

TEST_P(EveryPolicy, survives_no_cell_and_one_cell) {
  for (const uint32_t n : {0U, 1U}) {
    FakeCache cache = full_cache(n);
    const auto plan = plan_once(cache, treatment({{"budget", "1"}}), last_event(n));
    EXPECT_EQ(n_total(plan), kHeads * n);
  }
}

TEST_P(EveryPolicy, equal_signals_still_fill_the_budget) {
  FakeCache cache = full_cache();
  for (int layer = 0; layer < 3; ++layer) {
    for (int h = 0; h < 2; ++h) fill_signals(cache.head(layer, h), 0.25F);
  }
  EXPECT_EQ(n_total(plan_once(cache, treatment(), last_event())), kHeads * 20U);
}

TEST_P(EveryPolicy, signals_that_are_not_numbers_are_refused_by_name) {
  const Needs needs = Evictor(treatment(), small_shape(), 0, "c").needs();
  if (needs == Needs{}) return;  // looks at ordinals only
  FakeCache cache = full_cache();
  fill_signals(cache.head(1, 1), NAN);
  try {
    plan_once(cache, treatment(), last_event());
    FAIL() << "not refused";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("layer 1, head "), std::string::npos) << message;
    EXPECT_NE(message.find(GetParam()), std::string::npos) << message;
  }
}

// A single number of a single cell in the middle, or one of the queries' moments.
TEST_P(EveryPolicy, one_signal_that_is_not_a_number_is_refused) {
  const Needs needs = Evictor(treatment(), small_shape(), 0, "c").needs();
  const std::pair<bool, std::vector<float> FakeHead::*> signals[] = {
      {needs.keys, &FakeHead::keys},
      {needs.values, &FakeHead::values},
      {needs.attention_sum, &FakeHead::attention_sum},
      {needs.attention_window > 0, &FakeHead::attention_window},
      {needs.query_moments, &FakeHead::query_mean},
      {needs.query_moments, &FakeHead::query_covariance}};
  for (size_t i = 0; i < std::size(signals); ++i) {
    const auto& [is_needed, signal] = signals[i];
    if (!is_needed) continue;
    FakeCache cache = full_cache();
    std::vector<float>& numbers = cache.head(1, 1).*signal;
    ASSERT_FALSE(numbers.empty()) << i;
    numbers[numbers.size() / 2] = NAN;
    EXPECT_THROW(plan_once(cache, treatment(), last_event()), Error) << "signal " << i;
  }
}

TEST_P(EveryPolicy, the_order_of_cells_does_not_matter_where_it_says_so) {
  const PolicySpec& spec = find_policy(GetParam());
  if (!spec.is_order_free) return;
  FakeCache cache = full_cache();
  const auto expected = plan_once(cache, treatment(), last_event(), 3);
  EXPECT_EQ(plan_shuffled(cache, treatment(), 3).kept, expected.kept);
}

// Layers that hold the same cells as the one before are not scored again.
TEST_P(EveryPolicy, what_follows_from_ordinals_is_the_same_in_any_company) {
  if (!find_policy(GetParam()).is_by_ordinals) return;
  EXPECT_EQ(Evictor(treatment(), small_shape(), 0, "c").needs(), Needs{});
  const auto change_ordinals = [](FakeCache& cache, int layer) {
    for (uint32_t h = 0; h < 2; ++h) {
      for (Ordinal& ordinal : cache.head(layer, static_cast<int>(h)).ordinals) {
        ordinal.value += 5 + h;
      }
    }
  };
  const auto change_spans = [](FakeCache& cache, int layer) {
    for (int h = 0; h < 2; ++h) {
      for (SpanId& span : cache.head(layer, h).spans) span = {1};
    }
  };
  using Change = std::function<void(FakeCache&, int)>;
  const std::pair<Change, Treatment> cases[] = {
      {change_ordinals, treatment()},
      {change_spans, treatment({{"budget", "20"}, {"protect_roles", "system"}})}};
  for (const auto& [change, made] : cases) {
    FakeCache plain = full_cache();
    FakeCache changed = full_cache();
    FakeCache mixed = full_cache();
    for (int layer = 0; layer < 3; ++layer) change(changed, layer);
    change(mixed, 1);
    const auto all_plain = plan_once(plain, made, last_event());
    const auto all_changed = plan_once(changed, made, last_event());
    const auto both = plan_once(mixed, made, last_event());
    ASSERT_NE(all_plain.kept[1], all_changed.kept[1]);
    EXPECT_EQ(both.kept[0], all_plain.kept[0]);
    EXPECT_EQ(both.kept[1], all_changed.kept[1]);
    EXPECT_EQ(both.kept[2], all_plain.kept[2]);
    EXPECT_EQ(all_plain.kept[0], all_plain.kept[2]);
  }
}

TEST_P(EveryPolicy, a_fork_goes_on_as_its_origin_would) {
  FakeCache cache = full_cache();
  Evictor origin(treatment(), cache.shape(), 9, "c");
  cache.set_window(kCells, std::max(1, origin.needs().attention_window));
  cache.apply(origin.plan(cache, last_event()));
  cache.append(kCells, 100, 2);
  cache.set_window(100, std::max(1, origin.needs().attention_window));
  Evictor fork = origin.clone();
  EXPECT_EQ(fork.plan(cache, last_event(100)).kept, origin.plan(cache, last_event(100)).kept);
}

TEST_P(EveryPolicy, works_on_heads_that_hold_different_cells) {
  FakeCache cache = full_cache();
  EvictionPlan ragged;
  ragged.kept.assign(3, {range(0, kCells), range(0, kCells)});
  ragged.kept[1][0] = range(5, 30);
  ragged.kept[2][1] = {};
  cache.apply(ragged);
  const auto plan = plan_once(cache, treatment(), last_event());
  EXPECT_EQ(plan.kept[1][0].size(), 20U);
  EXPECT_EQ(plan.kept[2][1].size(), 0U);
  EXPECT_EQ(plan.kept[2][0].size(), 20U);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryPolicy, ::testing::ValuesIn(evicting_policies()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace ebb::policy::testing
