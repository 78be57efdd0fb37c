#include "report/matched_cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "report/cache_in_force.h"
#include "report/means.h"

namespace ebb::report {
namespace {

// "share=0.5": how much an arm was told to keep; "" where its policy decides.
std::string budget_of(const record::ArmInfo& arm) {
  for (const char* key : {"share", "match_bytes", "budget", "ratio", "bytes", "schedule"}) {
    const auto found = arm.settings.find(key);
    if (found != arm.settings.end() && !found->second.empty()) {
      return fmt::format("{}={}", key, found->second);
    }
  }
  return "";
}

bool evicts(const record::ArmInfo& arm) {
  return arm.kind == "treatment" || arm.kind == "text_removal";
}

std::optional<std::pair<double, double>> shared_means(const ConversationMeans& first,
                                                      const ConversationMeans& second) {
  std::vector<double> of_first, of_second;
  for (const auto& [conversation, values] : first.all()) {
    const auto other = second.of(conversation);
    if (!other) continue;
    of_first.push_back(ordered_mean(values));
    of_second.push_back(*other);
  }
  if (of_first.empty()) return std::nullopt;
  return std::pair(stats::summarize(of_first).mean, stats::summarize(of_second).mean);
}

}  // namespace

bool are_meant_to_match(const record::ArmInfo& first, const record::ArmInfo& second) {
  if (!evicts(first) || !evicts(second)) return false;
  const std::string budget = budget_of(first);
  const std::string other = budget_of(second);
  if (!budget.empty() && !other.empty()) return budget == other;
  if (first.policy != second.policy) return true;
  auto settings = first.settings;
  auto others = second.settings;
  settings.erase("positions");
  others.erase("positions");
  return settings == others;
}

std::vector<std::string> unmatched_contrasts(const StudyData& data) {
  const CacheInForce in_force(data);
  std::map<std::string, const record::ArmInfo*> arms;
  for (const record::ArmInfo& arm : data.study.arms) arms[arm.name] = &arm;
  std::map<std::string, ConversationMeans> cells;
  for (const record::UnitRecord& unit : data.units) {
    const auto arm = arms.find(unit.arm);
    if (arm == arms.end()) continue;
    const auto state = in_force.of(unit, moment_of(*arm->second));
    if (state) cells[unit.arm].add(unit.conversation, state->n_cells);
  }
  std::vector<std::string> out;
  for (const record::ContrastInfo& contrast : data.study.contrasts) {
    const auto first = arms.find(contrast.first);
    const auto second = arms.find(contrast.second);
    if (first == arms.end() || second == arms.end()) continue;
    if (!are_meant_to_match(*first->second, *second->second)) continue;
    const auto means = shared_means(cells[contrast.first], cells[contrast.second]);
    if (!means) continue;
    const auto [a, b] = *means;
    if (std::abs(a - b) <= kCellsTolerance * std::max(a, b)) continue;
    out.push_back(fmt::format(
        "contrast '{}': {} and {} differ in cells: {:.0f} against {:.0f} over all layers and heads",
        contrast.name, contrast.first, contrast.second, a, b));
  }
  return out;
}

}  // namespace ebb::report
