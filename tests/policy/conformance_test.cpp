// What every policy of the catalogue must do, over allocators, scopes and refinements that make
// sense with it.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "base/error.h"
#include "policy/catalogue.h"
#include "policy/fake_cache.h"
#include "policy/gather.h"

namespace ebb::policy::testing {
namespace {

constexpr uint32_t kCells = 60;
constexpr uint32_t kTurnBegin = 32;
constexpr int64_t kBudget = 20;

const std::vector<SpanInfo> kSpans = {
    {.role = Role::kSystem, .turn = 0, .instruction_id = ""},
    {.role = Role::kInstruction, .turn = 0, .instruction_id = "short"},
    {.role = Role::kReply, .turn = 1, .instruction_id = ""}};

// Windows and blocks that act at 60 cells.
ParamMap small_params(const std::string& policy) {
  if (policy == "snapkv") return {{"window", "8"}, {"kernel", "3"}};
  if (policy == "lagkv") return {{"lag", "8"}};
  if (policy == "lagkv_recursive") return {{"lag", "8"}, {"n_sink", "4"}};
  if (policy == "streaming") return {{"keep_initial", "4"}};
  return {};
}

FakeCache full_cache(uint32_t n = kCells) {
  FakeCache cache(small_shape());
  cache.append(0, std::min(n, 10U), 0);
  if (n > 10) cache.append(10, std::min(n, kTurnBegin), 1);
  if (n > kTurnBegin) cache.append(kTurnBegin, n, 2);
  return cache;
}

EventInfo last_event(uint32_t n = kCells) {
  EventInfo event = event_at(n);
  event.turn_begin = {kTurnBegin};
  event.spans = kSpans;
  return event;
}

std::vector<std::string> policies() {
  std::vector<std::string> names;
  for (const PolicySpec& spec : catalogue()) {
    if (spec.name != "full") names.push_back(spec.name);
  }
  return names;
}

ParamMap with(ParamMap base, const ParamMap& more) {
  for (const auto& [key, value] : more) base[key] = value;
  return base;
}

size_t n_total(const EvictionPlan& plan) {
  size_t n = 0;
  for (const auto& layer : plan.kept) {
    for (const auto& head : layer) n += head.size();
  }
  return n;
}

void expect_well_formed(const EvictionPlan& plan) {
  for (const auto& layer : plan.kept) {
    for (const auto& head : layer) {
      EXPECT_TRUE(std::is_sorted(head.begin(), head.end()));
      EXPECT_EQ(std::set<uint32_t>(head.begin(), head.end()).size(), head.size());
    }
  }
}

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

TEST_P(EveryPolicy, meets_its_budget_under_every_allocator_and_scope_that_makes_sense) {
  int n_valid = 0;
  for (const char* allocator :
       {"uniform", "pyramid", "pyramid_kvpress", "ada_floor", "ada_mix", "global", "span_quota"}) {
    for (const char* scope : {"whole", "newest_turn", "hybrid"}) {
      for (const char* refine : {"none", "value_norm", "critical_l1", "critical_l2"}) {
        ParamMap settings = {
            {"budget", "12"}, {"allocator", allocator}, {"scope", scope}, {"refine", refine}};
        if (std::string(scope) == "hybrid") settings["hybrid_cap"] = "30";
        Treatment made;
        try {
          made = treatment(settings);
        } catch (const Error&) {
          continue;  // refused as senseless; which are is tested with treatments
        }
        ++n_valid;
        FakeCache cache = full_cache();
        const auto plan = plan_once(cache, made, last_event());
        expect_well_formed(plan);
        const size_t n_each = std::string(scope) == "whole"         ? 12
                              : std::string(scope) == "newest_turn" ? kTurnBegin + 12
                                                                    : 30;
        if (std::string(allocator) == "pyramid_kvpress") {
          EXPECT_NEAR(static_cast<double>(n_total(plan)), static_cast<double>(6 * n_each), 6.0);
        } else {
          EXPECT_EQ(n_total(plan), 6 * n_each) << allocator << " " << scope << " " << refine;
        }
      }
    }
  }
  EXPECT_GE(n_valid, 4);
}

// Allocators with triggers and scopes: a cap leaves room for what comes, and no event is allowed
// more than its budget.
TEST_P(EveryPolicy, meets_its_budget_at_every_event_under_every_allocator_and_scope) {
  const std::pair<const char*, EventKind> triggers[] = {
      {"prompt_end", EventKind::kPromptEnd},
      {"turn_end", EventKind::kTurnEnd},
      {"every_n:4", EventKind::kEveryN},
      {"cap", EventKind::kCap},
      {"prompt_block:16", EventKind::kPromptBlock}};
  int n_valid = 0;
  for (const char* allocator :
       {"uniform", "pyramid", "ada_floor", "ada_mix", "global", "span_quota"}) {
    for (const auto& [trigger, kind] : triggers) {
      for (const char* scope : {"whole", "newest_turn", "hybrid"}) {
        ParamMap settings = {
            {"budget", "12"}, {"allocator", allocator}, {"scope", scope}, {"trigger", trigger}};
        if (std::string(scope) == "hybrid") settings["hybrid_cap"] = "30";
        Treatment made;
        try {
          made = treatment(settings);
        } catch (const Error&) {
          continue;  // refused as senseless
        }
        ++n_valid;
        FakeCache cache = full_cache();
        EventInfo event = last_event();
        event.kind = kind;
        event.n_incoming = kind == EventKind::kCap ? 1 : 0;
        const auto plan = plan_once(cache, made, event);
        expect_well_formed(plan);
        const size_t n_each = std::string(scope) == "whole"         ? 12
                              : std::string(scope) == "newest_turn" ? kTurnBegin + 12
                                                                    : 30;
        EXPECT_EQ(n_total(plan), 6 * (n_each - static_cast<size_t>(event.n_incoming)))
            << allocator << " " << trigger << " " << scope;
      }
    }
  }
  EXPECT_GE(n_valid, 10);
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
  for (const char* allocator : {"uniform", "span_quota", "ada_floor", "global", "pyramid"}) {
    for (const char* budget : {"60", "1000"}) {
      Treatment made;
      try {
        made = treatment({{"budget", budget}, {"allocator", allocator}});
      } catch (const Error&) {
        continue;
      }
      FakeCache cache = full_cache();
      EXPECT_EQ(n_total(plan_once(cache, made, last_event())), 6U * kCells) << allocator;
    }
  }
}

TEST_P(EveryPolicy, the_same_seed_gives_the_same_cells) {
  FakeCache cache = full_cache();
  const auto first = plan_once(cache, treatment(), last_event(), 5);
  EXPECT_EQ(first.kept, plan_once(cache, treatment(), last_event(), 5).kept);
}

TEST_P(EveryPolicy, survives_no_cell_and_one_cell) {
  for (const uint32_t n : {0U, 1U}) {
    for (const char* allocator : {"uniform", "ada_floor", "global", "pyramid", "span_quota"}) {
      Treatment made;
      try {
        made = treatment({{"budget", "1"}, {"allocator", allocator}});
      } catch (const Error&) {
        continue;
      }
      FakeCache cache = full_cache(n);
      EXPECT_EQ(n_total(plan_once(cache, made, last_event(n))), 6U * n);
    }
  }
}

TEST_P(EveryPolicy, equal_signals_still_fill_the_budget) {
  FakeCache cache = full_cache();
  for (int layer = 0; layer < 3; ++layer) {
    for (int h = 0; h < 2; ++h) {
      FakeHead& head = cache.head(layer, h);
      for (auto* signal : {&head.keys, &head.values, &head.attention_sum, &head.attention_window}) {
        std::fill(signal->begin(), signal->end(), 0.25F);
      }
    }
  }
  EXPECT_EQ(n_total(plan_once(cache, treatment(), last_event())), 6U * 20U);
}

TEST_P(EveryPolicy, signals_that_are_not_numbers_are_refused_by_name) {
  const Needs needs = Evictor(treatment(), small_shape(), 0, "c").needs();
  if (needs == Needs{}) return;  // looks at ordinals only
  FakeCache cache = full_cache();
  FakeHead& head = cache.head(1, 1);
  for (auto* signal : {&head.keys, &head.values, &head.attention_sum, &head.attention_window}) {
    std::fill(signal->begin(), signal->end(), NAN);
  }
  try {
    plan_once(cache, treatment(), last_event());
    FAIL() << "not refused";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("layer 1, head "), std::string::npos) << message;
    EXPECT_NE(message.find(GetParam()), std::string::npos) << message;
  }
}

// Gives the cells of every head in another order.
class Shuffled : public CacheSource {
 public:
  explicit Shuffled(FakeCache& cache) : cache_(cache) {}
  const std::vector<uint32_t>& order() const { return order_; }

  LayerView layer(int index) override {
    LayerView view = cache_.layer(index);
    const auto n = view.heads[0].n_cells();
    order_.resize(n);
    for (size_t i = 0; i < n; ++i) order_[i] = static_cast<uint32_t>((i * 7 + 3) % n);
    const std::vector<std::vector<uint32_t>> cells(view.heads.size(), order_);
    gathered_ = std::make_unique<GatheredLayer>(view, cache_.shape(), cells);
    return gathered_->view();
  }

 private:
  FakeCache& cache_;
  std::vector<uint32_t> order_;
  std::unique_ptr<GatheredLayer> gathered_;
};

TEST_P(EveryPolicy, the_order_of_cells_does_not_matter_where_it_says_so) {
  const PolicySpec& spec = find_policy(GetParam());
  if (!spec.is_order_free) return;
  FakeCache cache = full_cache();
  cache.set_window(kCells, 1);
  Evictor plain(treatment(), cache.shape(), 3, "c");
  Evictor mixed(treatment(), cache.shape(), 3, "c");
  Shuffled shuffled(cache);
  const auto expected = plain.plan(cache, last_event());
  const auto found = mixed.plan(shuffled, last_event());
  for (size_t layer = 0; layer < 3; ++layer) {
    for (size_t h = 0; h < 2; ++h) {
      std::set<uint32_t> ordinals;
      for (const uint32_t i : found.kept[layer][h]) ordinals.insert(shuffled.order()[i]);
      const auto& want = expected.kept[layer][h];
      EXPECT_EQ(ordinals, std::set<uint32_t>(want.begin(), want.end()));
    }
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

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryPolicy, ::testing::ValuesIn(policies()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace ebb::policy::testing
