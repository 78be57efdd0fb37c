#include "report/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "report/arm_facts.h"
#include "report/cache_in_force.h"
#include "report/comparisons.h"
#include "report/dose.h"
#include "report/matched_cells.h"

namespace ebb::report {
namespace {

size_t count_confirmatory(const record::StudyInfo& study) {
  return static_cast<size_t>(
      std::count_if(study.contrasts.begin(), study.contrasts.end(),
                    [](const auto& contrast) { return contrast.family == "confirmatory"; }));
}

// A contrast of two policies of which only one may know what is asked.
void add_mixed_contrasts(const record::StudyInfo& study, std::vector<std::string>& out) {
  const auto arm_named = [&](const std::string& name) {
    const auto found = std::find_if(study.arms.begin(), study.arms.end(),
                                    [&](const record::ArmInfo& arm) { return arm.name == name; });
    return found == study.arms.end() ? record::ArmInfo{} : *found;
  };
  for (const record::ContrastInfo& contrast : study.contrasts) {
    const record::ArmInfo first = arm_named(contrast.first);
    const record::ArmInfo second = arm_named(contrast.second);
    if (first.kind != "treatment" || second.kind != "treatment") continue;
    if (is_query_visible(first) == is_query_visible(second)) continue;
    out.push_back(fmt::format("contrast '{}': of its arms only '{}' is query-visible",
                              contrast.name, is_query_visible(first) ? first.name : second.name));
  }
}

std::vector<std::string> warnings_of(const StudyData& data, const Analysis& analysis) {
  std::vector<std::string> out;
  for (const ArmFacts& arm : analysis.arms) {
    if (arm.never_removed) {
      out.push_back(fmt::format(
          "arm '{}' never removed a cell before its last reply: it is the baseline under another "
          "name",
          arm.info.name));
    }
    if (arm.n_units == 0) out.push_back(fmt::format("arm '{}' has no units", arm.info.name));
  }
  // A conversation is stored with all its units or not at all.
  std::set<std::string> finished;
  for (const record::UnitRecord& unit : data.units) finished.insert(unit.conversation);
  if (finished.size() < data.conversations.size()) {
    out.push_back(fmt::format("{} of {} conversations are there: the rest has not run or failed",
                              finished.size(), data.conversations.size()));
  }
  if (data.scores.n_pending > 0) {
    out.push_back(fmt::format("{} answers of the judge are missing", data.scores.n_pending));
  }
  for (const stats::ArmRow& row : analysis.primary.rows) {
    if (!row.contrast.empty() && !row.diff) {
      out.push_back(fmt::format("contrast '{}' {}", row.contrast, row.note));
    } else if (row.n_unpaired > 0) {
      out.push_back(fmt::format("contrast '{}' leaves out {} conversations that one arm lacks",
                                row.contrast, row.n_unpaired));
    }
  }
  add_mixed_contrasts(data.study, out);
  for (std::string& each : unmatched_contrasts(data)) out.push_back(std::move(each));
  if (analysis.overall.state == Assessability::State::kNotAssessable) {
    out.push_back(
        fmt::format("not assessable on '{}': {}. Losses by eviction cannot show here either",
                    data.study.primary_endpoint, analysis.overall.reason));
  }
  return out;
}

}  // namespace

Analysis analyse(const StudyData& data, const AnalyseOptions& options) {
  const stats::CompareOptions compare = compare_options(data.study, options);
  const EndpointScores scores = endpoint_scores(data.scores);
  const auto primary = scores.find(data.study.primary_endpoint);
  if (primary == scores.end()) {
    throw Error::make(ErrorKind::kUsage, "study '{}': no scores of its primary endpoint '{}'",
                      data.study.name, data.study.primary_endpoint);
  }
  Analysis out{.study = data.study,
               .n_conversations = data.conversations.size(),
               .n_units = data.units.size(),
               .arms = arm_facts(data)};
  out.primary = {primary->first, planned_rows(data.study, primary->second,
                                              {Families::kAsPlanned, primary->first}, compare)};
  out.effects = baseline_effects(data.study, primary->second, out.primary.rows, compare);
  for (const auto& [endpoint, rows] : scores) {
    if (endpoint == primary->first) continue;
    const Plan plan{Families::kExploratory, endpoint};
    out.others.push_back({endpoint, planned_rows(data.study, rows, plan, compare)});
  }
  out.overall = assess(data.study, primary->second, compare);
  out.classes = class_results(data, compare);
  out.doses = dose_curves(data, options);
  const auto retention = std::find_if(out.others.begin(), out.others.end(), [](const auto& each) {
    return each.endpoint == "retention";
  });
  const EndpointResult& shown = retention == out.others.end() ? out.primary : *retention;
  out.forgetting_endpoint = shown.endpoint;
  out.forgetting = forgetting_points(out.arms, shown.rows);
  out.losses = loss_points(data, compare);
  if (out.n_conversations > 0) {
    out.detection = stats::plan_detection(
        out.n_conversations, std::max<size_t>(1, count_confirmatory(data.study)), data.study.alpha);
  }
  out.warnings = warnings_of(data, out);
  return out;
}

}  // namespace ebb::report
