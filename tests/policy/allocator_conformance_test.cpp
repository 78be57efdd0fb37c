// What every allocator of the catalogue must do with every policy that its kind makes sense for.
// The list comes from the catalogue and the settings from a switch over all kinds, so that a new
// allocator cannot be left out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "base/error.h"
#include "policy/conformance.h"
#include "policy/names.h"

namespace ebb::policy::testing {
namespace {

using Table = std::vector<std::vector<int64_t>>;

// Counts that differ by layer, and by head where `by_head`, with `budget` as their mean.
Table unequal_budgets(int64_t budget, bool by_head) {
  const int64_t step = std::min<int64_t>(budget - 1, 4);
  if (!by_head) {
    return {{budget - step, budget - step}, {budget, budget}, {budget + step, budget + step}};
  }
  return {{budget - step, budget + step}, {budget, budget}, {budget + step, budget - step}};
}

bool is_adaptive(AllocatorKind kind) {
  return kind == AllocatorKind::kAdaFloor || kind == AllocatorKind::kAdaMix ||
         kind == AllocatorKind::kGlobal;
}

// Whether the pair makes sense; what is refused is written down here once more, so that a pair
// that is refused by mistake does not fall out of the suite unseen.
bool suits(const PolicySpec& policy, AllocatorKind kind) {
  return !is_adaptive(kind) ||
         (policy.score_kind != ScoreKind::kRank && policy.sets != SetsDiffer::kByLayer);
}

class EveryAllocator : public ::testing::TestWithParam<std::string> {
 protected:
  ~EveryAllocator() override { std::filesystem::remove(path_); }

  AllocatorKind kind() const { return value_named(allocator_names(), GetParam(), "allocator"); }
  bool has_table() const {
    return kind() == AllocatorKind::kLayers || kind() == AllocatorKind::kFile;
  }

  // `budget` cells a head on average.
  ParamMap settings(int64_t budget) const {
    ParamMap out = {{"allocator", GetParam()}};
    switch (kind()) {
      case AllocatorKind::kUniform:
      case AllocatorKind::kPyramid:
      case AllocatorKind::kPyramidKvpress:
      case AllocatorKind::kAdaFloor:
      case AllocatorKind::kAdaMix:
      case AllocatorKind::kGlobal:
      case AllocatorKind::kSpanQuota:
        out["budget"] = std::to_string(budget);
        break;
      case AllocatorKind::kLayers: {
        const Table table = unequal_budgets(budget, false);
        out["layer_budgets"] = fmt::format("{},{},{}", table[0][0], table[1][0], table[2][0]);
        break;
      }
      case AllocatorKind::kFile:
        std::ofstream(path_) << fmt::format(
            R"({{"budgets": [[{}]]}})", fmt::join(rows_of(unequal_budgets(budget, true)), "], ["));
        out["budget_file"] = path_.string();
        break;
    }
    return out;
  }

  // Every policy that suits the allocator, with what `more` sets.
  void for_each_policy(int64_t budget, const ParamMap& more,
                       const std::function<void(const PolicySpec&, const Treatment&)>& check) {
    int n_checked = 0;
    for (const std::string& name : evicting_policies()) {
      SCOPED_TRACE(name);
      const PolicySpec& policy = find_policy(name);
      const auto made = try_treatment(name, with(settings(budget), more));
      ASSERT_EQ(made.has_value(), suits(policy, kind()));
      if (!made) continue;
      check(policy, *made);
      ++n_checked;
    }
    EXPECT_GE(n_checked, 5);
  }

  static std::optional<Treatment> try_treatment(const std::string& policy, const ParamMap& more) {
    try {
      return make_treatment(policy, with(small_params(policy), more));
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // kvpress rounds every layer of its pyramid by itself.
  void expect_total(const EvictionPlan& plan, size_t n) const {
    expect_well_formed(plan);
    if (kind() == AllocatorKind::kPyramidKvpress) {
      EXPECT_NEAR(static_cast<double>(n_total(plan)), static_cast<double>(n), kHeads);
    } else {
      EXPECT_EQ(n_total(plan), n);
    }
  }

 private:
  static std::vector<std::string> rows_of(const Table& table) {
    std::vector<std::string> rows;
    for (const auto& row : table) rows.push_back(fmt::format("{}", fmt::join(row, ", ")));
    return rows;
  }

  // Suites run side by side, each in a process of its own.
  const std::filesystem::path path_ =
      std::filesystem::path(::testing::TempDir()) / fmt::format("ebb_budgets_{}.json", ::getpid());
};

// What a head, or the mean head, keeps of a budget of 12 under a scope.
size_t n_under(const std::string& scope) {
  if (scope == "whole") return 12;
  return scope == "newest_turn" ? kTurnBegin + 12 : 30;
}

ParamMap scope_settings(const std::string& scope) {
  ParamMap out = {{"scope", scope}};
  if (scope == "hybrid") out["hybrid_cap"] = "30";
  return out;
}

TEST_P(EveryAllocator, meets_its_budget_under_every_scope_and_refinement_that_makes_sense) {
  for (const std::string& name : evicting_policies()) {
    if (!suits(find_policy(name), kind())) continue;
    for (const std::string& scope : names_in(scope_names())) {
      for (const std::string& refine : names_in(refine_names())) {
        SCOPED_TRACE(fmt::format("{} {} {}", name, scope, refine));
        const auto made = try_treatment(
            name, with(with(settings(12), scope_settings(scope)), {{"refine", refine}}));
        // Which scopes and refinements are senseless is tested with treatments.
        EXPECT_TRUE(made || scope != "whole" || refine != "none");
        if (!made) continue;
        FakeCache cache = full_cache();
        expect_total(plan_once(cache, *made, last_event()), kHeads * n_under(scope));
      }
    }
  }
}

// A cap leaves room for what comes, and no event is allowed more than its budget.
TEST_P(EveryAllocator, meets_its_budget_at_every_event) {
  const std::pair<const char*, EventKind> triggers[] = {
      {"prompt_end", EventKind::kPromptEnd},
      {"turn_end", EventKind::kTurnEnd},
      {"every_n:4", EventKind::kEveryN},
      {"cap", EventKind::kCap},
      {"prompt_block:16", EventKind::kPromptBlock}};
  for (const std::string& name : evicting_policies()) {
    if (!suits(find_policy(name), kind())) continue;
    for (const auto& [trigger, event_kind] : triggers) {
      for (const std::string& scope : names_in(scope_names())) {
        SCOPED_TRACE(fmt::format("{} {} {}", name, trigger, scope));
        const bool is_cap = event_kind == EventKind::kCap;
        const auto made = try_treatment(
            name, with(with(settings(12), scope_settings(scope)), {{"trigger", trigger}}));
        // A table of counts cannot make room at a cap.
        EXPECT_TRUE(made || scope != "whole" || (is_cap && has_table()));
        if (!made) continue;
        FakeCache cache = full_cache();
        EventInfo event = last_event();
        event.kind = event_kind;
        event.n_incoming = is_cap ? 1 : 0;
        expect_total(plan_once(cache, *made, event),
                     kHeads * (n_under(scope) - static_cast<size_t>(event.n_incoming)));
      }
    }
  }
}

TEST_P(EveryAllocator, gives_every_head_its_entry_where_it_has_a_table) {
  if (!has_table()) return;
  const Table table = unequal_budgets(20, kind() == AllocatorKind::kFile);
  for_each_policy(20, {}, [&](const PolicySpec&, const Treatment& made) {
    FakeCache cache = full_cache();
    const auto plan = plan_once(cache, made, last_event());
    for (size_t layer = 0; layer < 3; ++layer) {
      for (size_t head = 0; head < 2; ++head) {
        EXPECT_EQ(plan.kept[layer][head].size(), static_cast<size_t>(table[layer][head]));
      }
    }
  });
}

TEST_P(EveryAllocator, never_evicts_what_is_protected) {
  // The flattest pyramid's smallest layer still has room for the 14 cells.
  const ParamMap protection = {{"protect_last", "3"},
                               {"protect_roles", "system"},
                               {"protect_ordinals", "20"},
                               {"beta", "2"}};
  for_each_policy(30, protection, [this](const PolicySpec&, const Treatment& made) {
    FakeCache cache = full_cache();
    const auto plan = plan_once(cache, made, last_event());
    expect_total(plan, kHeads * 30);
    for (int layer = 0; layer < 3; ++layer) {
      for (int head = 0; head < 2; ++head) {
        const auto kept = cache.kept_ordinals(plan, layer, head);
        for (const uint32_t o : {0U, 1U, 5U, 9U, 20U, 57U, 58U, 59U}) {
          EXPECT_TRUE(std::binary_search(kept.begin(), kept.end(), o)) << o;
        }
      }
    }
  });
}

TEST_P(EveryAllocator, refuses_a_protection_above_the_budget) {
  const ParamMap protection = {{"protect_instructions", "short"}};  // 22 cells
  for_each_policy(20, protection, [](const PolicySpec&, const Treatment& made) {
    FakeCache cache = full_cache();
    EXPECT_THROW(plan_once(cache, made, last_event()), Error);
  });
}

TEST_P(EveryAllocator, keeps_all_at_a_budget_of_n_or_more) {
  for (const int64_t budget : {has_table() ? 64 : 60, 1000}) {
    for_each_policy(budget, {}, [](const PolicySpec&, const Treatment& made) {
      FakeCache cache = full_cache();
      EXPECT_EQ(n_total(plan_once(cache, made, last_event())), kHeads * kCells);
    });
  }
}

TEST_P(EveryAllocator, the_same_seed_gives_the_same_cells) {
  for_each_policy(20, {}, [](const PolicySpec&, const Treatment& made) {
    FakeCache cache = full_cache();
    const auto first = plan_once(cache, made, last_event(), 5);
    EXPECT_EQ(first.kept, plan_once(cache, made, last_event(), 5).kept);
  });
}

TEST_P(EveryAllocator, the_order_of_cells_does_not_matter) {
  for_each_policy(20, {}, [](const PolicySpec& policy, const Treatment& made) {
    if (!policy.is_order_free) return;
    FakeCache cache = full_cache();
    const auto expected = plan_once(cache, made, last_event(), 3);
    EXPECT_EQ(plan_shuffled(cache, made, 3).kept, expected.kept);
  });
}

TEST_P(EveryAllocator, survives_no_cell_and_one_cell) {
  for (const uint32_t n : {0U, 1U}) {
    for_each_policy(1, {}, [n](const PolicySpec&, const Treatment& made) {
      FakeCache cache = full_cache(n);
      EXPECT_EQ(n_total(plan_once(cache, made, last_event(n))), kHeads * n);
    });
  }
}

TEST_P(EveryAllocator, equal_signals_still_fill_the_budget) {
  for_each_policy(20, {}, [this](const PolicySpec&, const Treatment& made) {
    FakeCache cache = full_cache();
    for (int layer = 0; layer < 3; ++layer) {
      for (int head = 0; head < 2; ++head) fill_signals(cache.head(layer, head), 0.25F);
    }
    expect_total(plan_once(cache, made, last_event()), kHeads * 20);
  });
}

TEST_P(EveryAllocator, signals_that_are_not_numbers_are_refused_by_name) {
  for_each_policy(20, {}, [](const PolicySpec& policy, const Treatment& made) {
    if (Evictor(made, small_shape(), 0, "c").needs() == Needs{}) return;  // looks at ordinals only
    FakeCache cache = full_cache();
    fill_signals(cache.head(1, 1), NAN);
    try {
      plan_once(cache, made, last_event());
      FAIL() << "not refused";
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("layer 1, head "), std::string::npos) << message;
      EXPECT_NE(message.find(policy.name), std::string::npos) << message;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryAllocator,
                         ::testing::ValuesIn(names_in(allocator_names())),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace ebb::policy::testing
