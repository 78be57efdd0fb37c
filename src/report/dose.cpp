#include "report/dose.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/rng.h"
#include "report/arm_order.h"
#include "report/cache_in_force.h"
#include "report/means.h"
#include "stats/bootstrap.h"
#include "stats/descriptive.h"

namespace ebb::report {
namespace {

// Fewer points than this in a bin say little; the number of bins follows.
constexpr size_t kPointsPerBin = 5;
constexpr size_t kBinsMax = 8;

// Of one unit: means over the instructions that an outcome can be said of.
struct UnitMean {
  std::vector<double> kept;
  std::vector<double> values;
};

using ItemKey = std::pair<int, std::string>;  // turn and instruction

// What is left of an instruction when the reply to `turn_id` begins: after the turn before it.
// The instruction of the turn itself is whole: nothing has been evicted since it came.
std::optional<double> kept_before(const record::UnitRecord& unit, const record::ItemScore& item) {
  const auto turn =
      std::find_if(unit.turns.begin(), unit.turns.end(),
                   [&](const record::UnitTurn& each) { return each.turn_id == item.turn_id; });
  if (turn == unit.turns.end()) return std::nullopt;
  const auto place = static_cast<size_t>(turn - unit.turns.begin());
  for (const record::SpanRecord& span : unit.spans) {
    if (span.role != "instruction" || span.instruction_id != item.instruction_id) continue;
    if (span.turn_id == item.turn_id) return 1.0;
    if (place == 0 || place > span.kept_share.size()) return std::nullopt;
    return span.kept_share[place - 1];
  }
  return std::nullopt;
}

class Outcomes {
 public:
  explicit Outcomes(const StudyData& data) {
    for (const record::ProbeScore& probe : data.scores.probes) {
      UnitMean& unit = recall_[probe.unit_id];
      unit.kept.push_back(probe.kept_share);
      unit.values.push_back(probe.loglik);
    }
    const record::ArmInfo* baseline = arm_of_kind(data.study, "baseline");
    for (const record::ItemScore& item : data.scores.items) {
      if (item.state != "active" || !item.rule_strict) continue;
      items_[item.unit_id].push_back(&item);
      if (baseline == nullptr || item.arm != baseline->name) continue;
      baseline_[item.conversation][{item.turn_id, item.instruction_id}].push_back(
          *item.rule_strict);
    }
  }

  UnitMean recall(const record::UnitRecord& unit) const {
    const auto found = recall_.find(unit.unit_id);
    return found == recall_.end() ? UnitMean{} : found->second;
  }
  UnitMean rules(const record::UnitRecord& unit) const {
    return of_items(unit, [](double arm, std::optional<double>) { return std::optional(arm); });
  }
  UnitMean correct_to_wrong(const record::UnitRecord& unit) const {
    return of_items(unit, [](double arm, std::optional<double> baseline) -> std::optional<double> {
      if (baseline != 1.0) return std::nullopt;
      return arm < 1 ? 1.0 : 0.0;
    });
  }
  UnitMean wrong_to_correct(const record::UnitRecord& unit) const {
    return of_items(unit, [](double arm, std::optional<double> baseline) -> std::optional<double> {
      if (!baseline || *baseline >= 1) return std::nullopt;
      return arm < 1 ? 0.0 : 1.0;
    });
  }

 private:
  using Value = std::function<std::optional<double>(double, std::optional<double>)>;

  UnitMean of_items(const record::UnitRecord& unit, const Value& value_of) const {
    UnitMean out;
    const auto items = items_.find(unit.unit_id);
    if (items == items_.end()) return out;
    for (const record::ItemScore* item : items->second) {
      const auto kept = kept_before(unit, *item);
      const auto value = value_of(*item->rule_strict, baseline_value(*item));
      if (!kept || !value) continue;
      out.kept.push_back(*kept);
      out.values.push_back(*value);
    }
    return out;
  }
  std::optional<double> baseline_value(const record::ItemScore& item) const {
    const auto conversation = baseline_.find(item.conversation);
    if (conversation == baseline_.end()) return std::nullopt;
    const auto found = conversation->second.find({item.turn_id, item.instruction_id});
    if (found == conversation->second.end()) return std::nullopt;
    return ordered_mean(found->second);
  }

  std::map<std::string, UnitMean> recall_;
  std::map<std::string, std::vector<const record::ItemScore*>> items_;
  std::map<std::string, std::map<ItemKey, std::vector<double>>> baseline_;
};

using UnitOutcome = std::function<UnitMean(const record::UnitRecord&)>;

void fit(DoseCurve& curve, const record::StudyInfo& study, const AnalyseOptions& options) {
  std::map<std::string, uint32_t> ids;
  std::vector<double> x, y;
  std::vector<uint32_t> clusters;
  for (const DosePoint& point : curve.points) {
    x.push_back(point.kept_share);
    y.push_back(point.value);
    clusters.push_back(
        ids.emplace(point.conversation, static_cast<uint32_t>(ids.size())).first->second);
  }
  const std::set<double> different(x.begin(), x.end());
  if (different.size() < 2) {
    curve.empty_reason = x.empty() ? "no random arm that acts between turns has this outcome"
                                   : "every seed of the random arms kept the same share";
    return;
  }
  const size_t n_bins =
      std::clamp<size_t>(std::min(x.size() / kPointsPerBin, different.size()), 1, kBinsMax);
  curve.response =
      stats::dose_response(x, y, clusters,
                           {.n_bins = n_bins,
                            .confidence = 1 - study.alpha,
                            .n_draws = options.n_dose_draws,
                            .seed = study.statistics_seed,
                            .stream = conversation_key("dose-response of " + curve.outcome)});
}

DoseCurve make_curve(const StudyData& data, const AnalyseOptions& options,
                     const std::string& outcome, const std::string& label,
                     const UnitOutcome& outcome_of) {
  DoseCurve curve{.outcome = outcome, .label = label};
  std::map<std::string, const record::ArmInfo*> arms;
  for (const record::ArmInfo& arm : data.study.arms) arms[arm.name] = &arm;
  std::map<std::string, std::pair<ConversationMeans, ConversationMeans>> others;
  for (const record::UnitRecord& unit : data.units) {
    const auto arm = arms.find(unit.arm);
    if (arm == arms.end() || arm->second->kind == "no_instruction") continue;
    if (is_query_visible(*arm->second)) continue;
    const UnitMean mean = outcome_of(unit);
    if (mean.values.empty()) continue;
    const double kept = ordered_mean(mean.kept);
    const double value = ordered_mean(mean.values);
    if (arm->second->kind == "treatment" && arm->second->policy == "random") {
      curve.points.push_back({unit.unit_id, unit.conversation, unit.arm, kept, value});
    } else {
      others[unit.arm].first.add(unit.conversation, kept);
      others[unit.arm].second.add(unit.conversation, value);
    }
  }
  // Of the same bits whatever order the units came in.
  std::sort(curve.points.begin(), curve.points.end(), [](const DosePoint& a, const DosePoint& b) {
    return std::tie(a.conversation, a.arm, a.unit_id) < std::tie(b.conversation, b.arm, b.unit_id);
  });
  for (const record::ArmInfo& arm : data.study.arms) {
    if (is_query_visible(arm)) curve.left_out.push_back(arm.name);
    const auto found = others.find(arm.name);
    if (found == others.end()) continue;
    curve.arms.push_back({arm.name, *found->second.first.mean(), *found->second.second.mean()});
  }
  fit(curve, data.study, options);
  return curve;
}

}  // namespace

std::vector<DoseCurve> dose_curves(const StudyData& data, const AnalyseOptions& options) {
  const Outcomes outcomes(data);
  std::vector<DoseCurve> out;
  out.push_back(make_curve(data, options, "recall", "recall, log-likelihood a token",
                           [&](const auto& unit) { return outcomes.recall(unit); }));
  out.push_back(make_curve(data, options, "rules", "share of rules obeyed",
                           [&](const auto& unit) { return outcomes.rules(unit); }));
  out.push_back(make_curve(data, options, "correct_to_wrong", "right in the baseline, now wrong",
                           [&](const auto& unit) { return outcomes.correct_to_wrong(unit); }));
  out.push_back(make_curve(data, options, "wrong_to_correct", "wrong in the baseline, now right",
                           [&](const auto& unit) { return outcomes.wrong_to_correct(unit); }));
  return out;
}

std::vector<ForgettingPoint> forgetting_points(const std::vector<ArmFacts>& arms,
                                               const std::vector<stats::ArmRow>& rows) {
  std::vector<ForgettingPoint> out;
  for (const ArmFacts& arm : arms) {
    if (!arm.kept_of_baseline || arm.info.kind == "no_instruction") continue;
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const stats::ArmRow& each) {
      return each.contrast.empty() && each.arm == arm.info.name;
    });
    if (row == rows.end()) continue;
    out.push_back({arm.info.name, arm.info.policy, *arm.kept_of_baseline, row->score});
  }
  return out;
}

std::vector<LossPoint> loss_points(const StudyData& data, const stats::CompareOptions& options) {
  const ArmOrder order(data.study);
  std::map<std::tuple<size_t, std::string, int>, ConversationMeans> means;
  for (const record::UnitRecord& unit : data.units) {
    for (const record::UnitTurn& turn : unit.turns) {
      if (!turn.fidelity || !turn.turns_since_loss) continue;
      means[{order.place(unit.arm), unit.arm, *turn.turns_since_loss}].add(unit.conversation,
                                                                           turn.fidelity->kl_mean);
    }
  }
  std::vector<LossPoint> out;
  for (const auto& [key, values] : means) {
    const auto& [place, arm, since] = key;
    const std::vector<double> kl = values.values();
    const stats::Summary summary = stats::summarize(kl);
    const stats::BootstrapResult interval = stats::bootstrap_mean(
        kl, {.confidence = 1 - options.alpha,
             .n_draws = options.n_bootstraps,
             .seed = options.seed,
             .stream = conversation_key(arm + ", turns since loss " + std::to_string(since))});
    out.push_back({arm,
                   since,
                   kl.size(),
                   {.mean = summary.mean,
                    .sd = summary.sd,
                    .interval = interval.interval,
                    .interval_method = interval.method}});
  }
  return out;
}

}  // namespace ebb::report
