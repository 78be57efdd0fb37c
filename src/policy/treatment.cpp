#include "policy/treatment.h"

#include <algorithm>

#include "base/error.h"
#include "policy/catalogue.h"

namespace ebb::policy {
namespace {

using Problems = std::vector<std::string>;

bool is_adaptive(AllocatorKind kind) {
  return kind == AllocatorKind::kAdaFloor || kind == AllocatorKind::kAdaMix ||
         kind == AllocatorKind::kGlobal;
}

bool has_own_table(AllocatorKind kind) {
  return kind == AllocatorKind::kLayers || kind == AllocatorKind::kFile;
}

void check_policy(const Treatment& t, const PolicySpec& spec, Problems& problems) {
  for (const auto& [name, value] : t.policy_params) {
    try {
      (void)Params(spec.params, {{name, value}}, "policy " + spec.name);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  if (problems.empty() && spec.check != nullptr) {
    for (auto& problem : spec.check(Params(spec.params, t.policy_params, spec.name))) {
      problems.push_back(fmt::format("policy {}: {}", spec.name, problem));
    }
  }
}

void check_budget(const Treatment& t, const PolicySpec& spec, Problems& problems) {
  const Budget& b = t.budget;
  if (b.kind == BudgetKind::kOwn && !spec.has_own_budget && !has_own_table(t.allocator.kind)) {
    problems.push_back(fmt::format(
        "policy {} has no budget of its own: give budget, ratio, bytes or a schedule", spec.name));
  }
  if (b.kind == BudgetKind::kCount && b.count < 1) {
    problems.push_back(fmt::format("budget {}: expected at least 1 cell", b.count));
  }
  if (b.kind == BudgetKind::kRatio && b.ratio.numerator() == 0) {
    problems.emplace_back("ratio 0 would keep nothing");
  }
  if (b.kind == BudgetKind::kBytes && b.size_bytes < 1) {
    problems.push_back(fmt::format("bytes {}: expected at least 1", b.size_bytes));
  }
  const bool has_bad_entry =
      std::any_of(b.schedule.begin(), b.schedule.end(), [](int64_t n) { return n < 1; });
  if (b.kind == BudgetKind::kSchedule && (b.schedule.empty() || has_bad_entry)) {
    problems.emplace_back("schedule: expected one count of at least 1 for every turn");
  }
  if (b.kind == BudgetKind::kRatio && b.of == RatioOf::kLive && t.trigger.at_cap) {
    problems.emplace_back(
        "a cap of a ratio of the live cells would shrink the cache at every step: give a "
        "count, or of = logical");
  }
  if (b.kind == BudgetKind::kOwn && t.trigger.at_cap && t.policy != "full") {
    problems.emplace_back("trigger cap needs a budget");
  }
}

void check_trigger(const Treatment& t, Problems& problems) {
  if (t.trigger.every_n < 0)
    problems.emplace_back("trigger every_n: expected a positive number of tokens");
  if (t.trigger.prompt_block < 0)
    problems.emplace_back("trigger prompt_block: expected a positive number");
  const bool is_during_turn =
      t.trigger.at_cap || t.trigger.every_n > 0 || t.trigger.prompt_block > 0;
  if (is_during_turn && t.budget.kind == BudgetKind::kRatio && t.budget.of == RatioOf::kPrompt &&
      t.trigger.prompt_block > 0) {
    problems.emplace_back("a ratio of the prompt is not known inside the prompt: give a count");
  }
}

void check_scope(const Treatment& t, const PolicySpec& spec, Problems& problems) {
  if (t.scope.cells == ScopeCells::kHybrid && t.scope.hybrid_cap < 1) {
    problems.emplace_back("scope hybrid needs hybrid_cap: cells per layer and head");
  }
  if (t.scope.cells != ScopeCells::kHybrid && t.scope.hybrid_cap != 0) {
    problems.emplace_back("hybrid_cap is set but scope is not hybrid");
  }
  if (t.scope.cells == ScopeCells::kNewestTurn && t.trigger.at_cap) {
    problems.emplace_back(
        "a cap cannot be held by evicting from the newest turn only: use scope hybrid");
  }
  if (t.scope.cells != ScopeCells::kWhole && t.allocator.kind == AllocatorKind::kSpanQuota &&
      t.allocator.quota_by == QuotaBy::kTurn) {
    problems.emplace_back("quotas by turn are senseless inside one turn");
  }
  if (t.scope.cells == ScopeCells::kHybrid && t.allocator.kind == AllocatorKind::kPyramidKvpress) {
    problems.emplace_back(
        "pyramid_kvpress does not add up over layers of unequal length, as a hybrid scope leaves "
        "them: "
        "use pyramid");
  }
  if (t.scope.cells != ScopeCells::kWhole && spec.name == "lagkv_recursive") {
    problems.emplace_back(
        "lagkv_recursive follows the whole sequence by itself: scope must be whole");
  }
}

void check_allocator(const Treatment& t, const PolicySpec& spec, Problems& problems) {
  const Allocator& a = t.allocator;
  if (is_adaptive(a.kind) && spec.score_kind == ScoreKind::kRank) {
    problems.push_back(
        fmt::format("policy {} ranks cells inside one head: its scores cannot be compared over "
                    "heads, so an adaptive allocator is senseless",
                    spec.name));
  }
  if (is_adaptive(a.kind) && (spec.sets == SetsDiffer::kByLayer || t.chunk > 0)) {
    problems.push_back(
        fmt::format("{} keeps the same tokens in every head of a layer: an adaptive allocator "
                    "would break that",
                    t.chunk > 0 ? "chunk" : "policy " + spec.name));
  }
  if (a.beta < 1) problems.emplace_back("beta: expected at least 1");
  if (a.kind == AllocatorKind::kLayers && a.layers.empty()) {
    problems.emplace_back("allocator layers needs layer_budgets");
  }
  if (a.kind == AllocatorKind::kFile && a.table.empty()) {
    problems.emplace_back("allocator file needs budget_file");
  }
  if (has_own_table(a.kind) && t.budget.kind != BudgetKind::kOwn) {
    problems.emplace_back("this allocator brings its own counts: leave the budget out");
  }
  if (a.kind == AllocatorKind::kSpanQuota && t.chunk > 0) {
    problems.emplace_back("span quotas would cut chunks at will: choose one of them");
  }
}

void check_refine(const Treatment& t, const PolicySpec& spec, Problems& problems) {
  if (t.refine != Refine::kNone && spec.score_kind != ScoreKind::kProbability) {
    problems.push_back(fmt::format(
        "refine multiplies attention-like scores by values; policy {} gives others", spec.name));
  }
  if (t.chunk < 0) problems.emplace_back("chunk: expected a positive number of cells");
  if (t.chunk > 0 && (t.refine == Refine::kCriticalL1 || t.refine == Refine::kCriticalL2)) {
    problems.emplace_back("chunk and a two-stage refine cannot be combined");
  }
  if (t.chunk > 0 && (spec.name == "random" || spec.name == "streaming")) {
    problems.push_back(
        fmt::format("policy {} has no scores that a chunk could average", spec.name));
  }
}

void check_protection(const Treatment& t, Problems& problems) {
  const Protection& p = t.protection;
  if (p.first_ordinals < 0) problems.emplace_back("protect_first: expected 0 or more");
  if (p.last_cells < 0) problems.emplace_back("protect_last: expected 0 or more");
  if (t.budget.kind != BudgetKind::kCount) return;
  std::vector<Ordinal> far = p.ordinals;
  std::erase_if(far, [&](Ordinal o) { return o.value < p.first_ordinals; });
  std::sort(far.begin(), far.end());
  far.erase(std::unique(far.begin(), far.end()), far.end());
  // The last cells may coincide with protected ordinals, so only the larger of the two is certain.
  const int64_t certain =
      p.first_ordinals + std::max(p.last_cells, static_cast<int64_t>(far.size()));
  if (certain > t.budget.count) {
    problems.push_back(
        fmt::format("{} cells would be protected but the budget is {}", certain, t.budget.count));
  }
}

}  // namespace

bool Trigger::includes(EventKind kind) const {
  switch (kind) {
    case EventKind::kPromptEnd:
      return at_prompt_end;
    case EventKind::kTurnEnd:
      return at_turn_end;
    case EventKind::kEveryN:
      return every_n > 0;
    case EventKind::kCap:
      return at_cap;
    case EventKind::kPromptBlock:
      return prompt_block > 0;
  }
  return false;
}

bool sees_query(const Treatment& treatment) {
  const Trigger& t = treatment.trigger;
  return treatment.policy != "full" &&
         (t.at_prompt_end || t.at_cap || t.every_n > 0 || t.prompt_block > 0);
}

std::vector<std::string> problems_of(const Treatment& treatment) {
  Problems problems;
  const PolicySpec* spec = try_policy(treatment.policy);
  if (spec == nullptr) {
    try {
      (void)find_policy(treatment.policy);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
    return problems;
  }
  check_policy(treatment, *spec, problems);
  check_trigger(treatment, problems);
  if (spec->name == "full") return problems;  // nothing is evicted: the other parts do not act
  check_budget(treatment, *spec, problems);
  check_scope(treatment, *spec, problems);
  check_allocator(treatment, *spec, problems);
  check_refine(treatment, *spec, problems);
  check_protection(treatment, problems);
  return problems;
}

std::vector<std::string> problems_of(const Treatment& treatment, const CacheShape& shape) {
  Problems problems = problems_of(treatment);
  const auto n_layers = static_cast<size_t>(shape.n_layers);
  const Allocator& a = treatment.allocator;
  if (a.kind == AllocatorKind::kLayers && a.layers.size() != n_layers) {
    problems.push_back(
        fmt::format("layer_budgets: found {} entries, expected one for each of {} layers",
                    a.layers.size(), n_layers));
  }
  if (a.kind == AllocatorKind::kFile) {
    const bool has_bad_row = std::any_of(a.table.begin(), a.table.end(), [&](const auto& row) {
      return row.size() != static_cast<size_t>(shape.n_kv_heads);
    });
    if (a.table.size() != n_layers || has_bad_row) {
      problems.push_back(fmt::format("budget file '{}': expected {} rows of {} heads",
                                     a.budget_file, n_layers, shape.n_kv_heads));
    }
  }
  const bool has_sliding =
      std::find(shape.is_sliding.begin(), shape.is_sliding.end(), true) != shape.is_sliding.end();
  if (treatment.scope.layers == ScopeLayers::kSliding && !has_sliding) {
    problems.emplace_back("layers = sliding, but this model has no sliding-window layers");
  }
  return problems;
}

}  // namespace ebb::policy
