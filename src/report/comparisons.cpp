#include "report/comparisons.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "report/arm_order.h"
#include "report/means.h"

namespace ebb::report {
namespace {

using stats::ArmRow;
using stats::Family;
using stats::ScoreRow;

stats::Correction parse_correction(const std::string& text, stats::Correction otherwise) {
  if (text.empty()) return otherwise;
  if (text == "holm") return stats::Correction::kHolm;
  if (text == "bh") return stats::Correction::kBenjaminiHochberg;
  if (text == "none") return stats::Correction::kNone;
  throw Error::make(ErrorKind::kUsage, "unknown correction '{}': expected holm, bh or none", text);
}

stats::PairedTest parse_test(const std::string& text) {
  if (text.empty() || text == "permutation") return stats::PairedTest::kPermutation;
  if (text == "paired_t") return stats::PairedTest::kPairedT;
  if (text == "wilcoxon") return stats::PairedTest::kWilcoxon;
  if (text == "mcnemar") return stats::PairedTest::kMcNemar;
  if (text == "mcnemar_midp") return stats::PairedTest::kMcNemarMidP;
  throw Error::make(ErrorKind::kUsage,
                    "unknown test '{}': expected permutation, paired_t, wilcoxon, mcnemar or "
                    "mcnemar_midp",
                    text);
}

bool is_mcnemar(stats::PairedTest test) {
  return test == stats::PairedTest::kMcNemar || test == stats::PairedTest::kMcNemarMidP;
}

// McNemar's test knows right and wrong only.
bool is_binary(const std::vector<ScoreRow>& scores) {
  ConversationMeans means;
  for (const ScoreRow& row : scores) means.add(row.arm + '\0' + row.conversation, row.score);
  for (const double value : means.values()) {
    if (value != 0 && value != 1) return false;
  }
  return true;
}

stats::Contrast to_contrast(const record::ContrastInfo& info, const Plan& plan) {
  stats::Contrast out{.name = info.name, .first = info.first, .second = info.second};
  const bool is_confirmatory =
      plan.families == Families::kAsPlanned && info.family == "confirmatory";
  if (is_confirmatory) out.family = Family::kConfirmatory;
  const auto margin = info.margins.find(plan.endpoint);
  if (margin != info.margins.end()) out.margin = stats::Interval{-margin->second, margin->second};
  return out;
}

// "" where the contrast can be computed.
std::string missing_reason(const stats::Contrast& contrast,
                           const std::map<std::string, std::set<std::string>>& conversations) {
  for (const std::string& arm : {contrast.first, contrast.second}) {
    if (!conversations.contains(arm)) return "no scores of arm '" + arm + "'";
  }
  const auto& first = conversations.at(contrast.first);
  const auto& second = conversations.at(contrast.second);
  const bool is_shared = std::any_of(first.begin(), first.end(),
                                     [&](const std::string& id) { return second.contains(id); });
  return is_shared ? "" : "the arms share no conversation";
}

// Where a verdict on one instruction holds an endpoint's value; null: the endpoint has none there.
std::optional<double> record::ItemScore::*item_field(const std::string& endpoint) {
  if (endpoint == "rules") return &record::ItemScore::rule_strict;
  if (endpoint == "rules_loose") return &record::ItemScore::rule_loose;
  if (endpoint == "judge") return &record::ItemScore::judge;
  if (endpoint == "combined") return &record::ItemScore::combined;
  return nullptr;
}

// The values of one class; a unit's score in it is the mean over its instructions.
class ClassScores {
 public:
  template <typename Score>  // ItemScore or ProbeScore
  void add(const Score& score, double value) {
    auto& [row, values] = units_[score.unit_id];
    row = {.conversation = score.conversation, .arm = score.arm, .seed = score.seed};
    values.push_back(value);
    ++n_values_;
  }
  std::vector<ScoreRow> rows() const {
    std::vector<ScoreRow> out;
    for (const auto& [unit, entry] : units_) {
      out.push_back(entry.first);
      out.back().score = ordered_mean(entry.second);
    }
    return out;
  }
  size_t n_values() const { return n_values_; }

 private:
  std::map<std::string, std::pair<ScoreRow, std::vector<double>>> units_;
  size_t n_values_ = 0;
};

std::map<std::string, ClassScores> scores_by_class(const record::StudyScores& scores,
                                                   const std::string& endpoint) {
  std::map<std::string, ClassScores> out;
  if (endpoint == "recall") {
    for (const record::ProbeScore& probe : scores.probes) {
      out[probe.instruction_class].add(probe, probe.loglik);
    }
  }
  const auto field = item_field(endpoint);
  if (field == nullptr) return out;
  for (const record::ItemScore& item : scores.items) {
    if (item.state == "active" && item.*field)
      out[item.instruction_class].add(item, *(item.*field));
  }
  return out;
}

}  // namespace

EndpointScores endpoint_scores(const record::StudyScores& scores) {
  EndpointScores out;
  for (const record::UnitScore& score : scores.units) {
    out[score.endpoint].push_back({.conversation = score.conversation,
                                   .arm = score.arm,
                                   .seed = score.seed,
                                   .score = score.score});
  }
  return out;
}

stats::CompareOptions compare_options(const record::StudyInfo& study,
                                      const AnalyseOptions& options) {
  return {.test = parse_test(study.test),
          .alpha = study.alpha,
          .confirmatory_correction =
              parse_correction(study.confirmatory_correction, stats::Correction::kHolm),
          .exploratory_correction =
              parse_correction(study.exploratory_correction, stats::Correction::kBenjaminiHochberg),
          .n_permutations = options.n_permutations,
          .n_bootstraps = options.n_bootstraps,
          .seed = study.statistics_seed};
}

std::vector<ArmRow> planned_rows(const record::StudyInfo& study,
                                 const std::vector<ScoreRow>& scores, const Plan& plan,
                                 stats::CompareOptions options) {
  const bool is_test_replaced = is_mcnemar(options.test) && !is_binary(scores);
  if (is_test_replaced) options.test = stats::PairedTest::kPermutation;
  std::map<std::string, std::set<std::string>> conversations;
  for (const ScoreRow& row : scores) conversations[row.arm].insert(row.conversation);
  std::vector<stats::Contrast> possible;
  std::map<std::string, ArmRow> missing;
  for (const record::ContrastInfo& info : study.contrasts) {
    const stats::Contrast contrast = to_contrast(info, plan);
    const std::string reason = missing_reason(contrast, conversations);
    if (reason.empty()) {
      possible.push_back(contrast);
    } else {
      ArmRow& row = missing[info.name];
      row.arm = info.second;
      row.contrast = info.name;
      row.test = stats::test_name(options.test);
      row.family = contrast.family;
      row.note = "not computed: " + reason;
    }
  }
  std::vector<ArmRow> found = stats::compare_arms(scores, possible, options);
  const ArmOrder order(study);
  std::stable_sort(found.begin(), found.end(), [&](const ArmRow& a, const ArmRow& b) {
    if (!a.contrast.empty() || !b.contrast.empty()) return a.contrast.empty() > b.contrast.empty();
    return order.place(a.arm) < order.place(b.arm);
  });
  std::vector<ArmRow> out;
  auto next = found.begin();
  for (; next != found.end() && next->contrast.empty(); ++next) out.push_back(*next);
  for (const record::ContrastInfo& info : study.contrasts) {
    const auto gap = missing.find(info.name);
    out.push_back(gap == missing.end() ? *next++ : gap->second);
    if (is_test_replaced) {
      out.back().note += out.back().note.empty() ? "" : "; ";
      out.back().note += "scores are not all 0 or 1: permutation instead of McNemar's test";
    }
  }
  stats::correct_families(out, options);
  return out;
}

std::vector<ArmRow> baseline_effects(const record::StudyInfo& study,
                                     const std::vector<ScoreRow>& scores,
                                     const std::vector<ArmRow>& planned,
                                     const stats::CompareOptions& options) {
  const record::ArmInfo* baseline = arm_of_kind(study, "baseline");
  if (baseline == nullptr) return {};
  std::map<std::string, std::string> names;  // arm -> its planned contrast with the baseline
  for (const record::ContrastInfo& info : study.contrasts) {
    if (info.first == baseline->name) names.emplace(info.second, info.name);
  }
  std::vector<ArmRow> out;
  for (const record::ArmInfo& arm : study.arms) {
    if (arm.name == baseline->name) continue;
    const auto same = std::find_if(planned.begin(), planned.end(), [&](const ArmRow& row) {
      return names.contains(arm.name) && row.contrast == names.at(arm.name);
    });
    if (same != planned.end()) {
      if (same->diff) out.push_back(*same);
      continue;
    }
    record::StudyInfo single = study;
    single.contrasts = {{.name = baseline->name + " - " + arm.name,
                         .first = baseline->name,
                         .second = arm.name,
                         .family = "exploratory"}};
    const ArmRow row = planned_rows(single, scores, {}, options).back();
    if (row.diff) out.push_back(row);
  }
  return out;
}

Assessability assess(const record::StudyInfo& study, const std::vector<ScoreRow>& scores,
                     const stats::CompareOptions& options) {
  using State = Assessability::State;
  const record::ArmInfo* baseline = arm_of_kind(study, "baseline");
  const record::ArmInfo* floor = arm_of_kind(study, "no_instruction");
  if (baseline == nullptr || floor == nullptr) {
    return {.reason = "the study has no arm of kind " +
                      std::string(baseline == nullptr ? "baseline" : "no_instruction")};
  }
  record::StudyInfo single = study;
  single.contrasts = {{.name = baseline->name + " - " + floor->name,
                       .first = baseline->name,
                       .second = floor->name,
                       .family = "exploratory"}};
  const std::vector<ArmRow> rows = planned_rows(single, scores, {}, options);
  const ArmRow& row = rows.back();
  if (!row.diff) return {.reason = row.note};
  Assessability out{.diff = row.diff, .n_conversations = row.n_conversations};
  out.state = State::kNotAssessable;
  if (row.is_identical) {
    out.reason = "scores are the same with and without the instruction";
  } else if (!row.diff->interval) {
    out.reason = "one conversation has no interval";
  } else if (row.diff->interval->low > 0) {
    out.state = State::kAssessable;
    out.reason = "the interval lies above 0";
  } else {
    out.reason = row.diff->interval->high < 0 ? "the instruction makes the score worse"
                                              : "the interval includes 0";
  }
  return out;
}

bool has_classes(const std::string& endpoint) {
  return endpoint == "recall" || item_field(endpoint) != nullptr;
}

std::vector<ClassResult> class_results(const StudyData& data,
                                       const stats::CompareOptions& options) {
  std::vector<ClassResult> out;
  for (const auto& [name, each] : scores_by_class(data.scores, data.study.primary_endpoint)) {
    const std::vector<ScoreRow> scores = each.rows();
    out.push_back({.name = name,
                   .n_items = each.n_values(),
                   .assessability = assess(data.study, scores, options),
                   .rows = planned_rows(data.study, scores, {}, options)});
  }
  return out;
}

}  // namespace ebb::report
