// Writes a treatment back as text, every default included, for records.
#include <fmt/format.h>

#include "policy/names.h"
#include "policy/treatment_text.h"

namespace ebb::policy {
namespace {

std::string trigger_text(const Trigger& trigger) {
  std::vector<std::string> parts;
  if (trigger.at_prompt_end) parts.emplace_back("prompt_end");
  if (trigger.at_turn_end) parts.emplace_back("turn_end");
  if (trigger.at_cap) parts.emplace_back("cap");
  if (trigger.every_n > 0) parts.push_back(fmt::format("every_n:{}", trigger.every_n));
  if (trigger.prompt_block > 0)
    parts.push_back(fmt::format("prompt_block:{}", trigger.prompt_block));
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ","));
}

void add_budget(const Budget& budget, ParamMap& out) {
  switch (budget.kind) {
    case BudgetKind::kOwn:
      break;
    case BudgetKind::kCount:
      out["budget"] = fmt::format("{}", budget.count);
      break;
    case BudgetKind::kRatio:
      out["ratio"] = budget.ratio.text();
      break;
    case BudgetKind::kBytes:
      out["bytes"] = fmt::format("{}", budget.size_bytes);
      break;
    case BudgetKind::kSchedule:
      out["schedule"] = fmt::format("{}", fmt::join(budget.schedule, ","));
      break;
  }
  out["of"] = name_of(ratio_of_names(), budget.of);
}

void add_protection(const Protection& protection, ParamMap& out) {
  std::vector<std::string> roles;
  for (const Role role : protection.roles) roles.push_back(name_of(role_names(), role));
  std::vector<uint32_t> ordinals;
  for (const Ordinal ordinal : protection.ordinals) ordinals.push_back(ordinal.value);
  out["protect_first"] = fmt::format("{}", protection.first_ordinals);
  out["protect_last"] = fmt::format("{}", protection.last_cells);
  out["protect_roles"] = fmt::format("{}", fmt::join(roles, ","));
  out["protect_ordinals"] = fmt::format("{}", fmt::join(ordinals, ","));
  out["protect_instructions"] = fmt::format("{}", fmt::join(protection.instruction_ids, ","));
}

}  // namespace

ParamMap settings_of(const Treatment& t) {
  ParamMap out = t.policy_params;
  out["policy"] = t.policy;
  out["refine"] = name_of(refine_names(), t.refine);
  out["chunk"] = fmt::format("{}", t.chunk);
  out["allocator"] = name_of(allocator_names(), t.allocator.kind);
  out["alpha"] = t.allocator.alpha.text();
  out["normalize"] = t.allocator.normalize ? "on" : "off";
  out["beta"] = fmt::format("{}", t.allocator.beta);
  out["quota_by"] = name_of(quota_names(), t.allocator.quota_by);
  out["layer_budgets"] = fmt::format("{}", fmt::join(t.allocator.layers, ","));
  out["budget_file"] = t.allocator.budget_file;
  add_budget(t.budget, out);
  out["trigger"] = trigger_text(t.trigger);
  out["scope"] = name_of(scope_names(), t.scope.cells);
  out["hybrid_cap"] = fmt::format("{}", t.scope.hybrid_cap);
  out["layers"] = name_of(layer_scope_names(), t.scope.layers);
  out["positions"] = name_of(position_names(), t.positions);
  add_protection(t.protection, out);
  out["observe"] = name_of(observe_names(), t.observe);
  return out;
}

}  // namespace ebb::policy
