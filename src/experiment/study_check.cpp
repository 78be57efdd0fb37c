// What a study file may not say: everything that would only fail after hours of computing.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "experiment/arm_input.h"
#include "experiment/study.h"
#include "experiment/unit_id.h"
#include "policy/catalogue.h"
#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

const StudyArm* find_arm(const Study& study, const std::string& name) {
  for (const StudyArm& arm : study.arms) {
    if (arm.name == name) return &arm;
  }
  return nullptr;
}

std::vector<std::string> names_of(const Study& study) {
  std::vector<std::string> out;
  for (const StudyArm& arm : study.arms) out.push_back(arm.name);
  return out;
}

// Which cells streaming keeps is known from the text alone only under these settings.
bool can_repeat_as_text(const StudyArm& arm) {
  static const std::set<std::string> kFree = {"keep_initial", "keep_recent", "budget", "schedule",
                                              "positions"};
  if (!arm.match_bytes.empty()) return false;
  const policy::Treatment treatment = treatment_of(arm, {1});
  const bool is_count = treatment.budget.kind == policy::BudgetKind::kOwn ||
                        treatment.budget.kind == policy::BudgetKind::kCount ||
                        treatment.budget.kind == policy::BudgetKind::kSchedule;
  if (arm.kind != StudyArmKind::kTreatment || treatment.policy != "streaming" || !is_count) {
    return false;
  }
  const policy::ParamMap plain = policy::settings_of(policy::make_treatment("streaming", {}));
  for (const auto& [key, value] : policy::settings_of(treatment)) {
    const auto found = plain.find(key);
    if (!kFree.contains(key) && (found == plain.end() || found->second != value)) return false;
  }
  return true;
}

void add_repeats_problem(const Study& study, const StudyArm& arm,
                         std::vector<std::string>& problems) {
  if (arm.kind != StudyArmKind::kTextRemoval) {
    if (!arm.repeats.empty()) {
      problems.push_back(fmt::format("arm '{}': repeats belongs to the kind text_removal, found {}",
                                     arm.name, to_text(arm.kind)));
    }
    return;
  }
  const StudyArm* of = find_arm(study, arm.repeats);
  if (of != nullptr && can_repeat_as_text(*of)) return;
  problems.push_back(fmt::format(
      "arm '{}': repeats = '{}', expected the name of an arm with the policy streaming, with no "
      "other settings than keep_initial, keep_recent, budget, schedule, share and positions{}",
      arm.name, arm.repeats, did_you_mean(arm.repeats, names_of(study))));
}

bool decides_itself(const StudyArm& arm) {
  return policy::find_policy(treatment_of(arm, {1}).policy).budget == policy::BudgetRule::kOutcome;
}

void add_budget_problems(const Study& study, const StudyArm& arm,
                         std::vector<std::string>& problems) {
  if (!is_matched(arm)) return;
  if (!arm.share.empty() && !arm.match_bytes.empty()) {
    problems.push_back(
        fmt::format("arm '{}': found share and match_bytes, expected one of them", arm.name));
  }
  if (decides_itself(arm)) {
    problems.push_back(fmt::format(
        "arm '{}': the policy {} decides for itself how much stays and cannot have a {}; match the "
        "other arms to it with match_bytes = \"{}\"",
        arm.name, treatment_of(arm, {1}).policy, arm.share.empty() ? "match_bytes" : "share",
        arm.name));
  }
  if (arm.match_bytes.empty()) return;
  const StudyArm* of = find_arm(study, arm.match_bytes);
  const bool is_possible =
      of != nullptr && of->kind == StudyArmKind::kTreatment && of->match_bytes.empty();
  const policy::Treatment treatment = treatment_of(arm, {1});
  const bool is_held = treatment.scope.layers == policy::ScopeLayers::kAll &&
                       treatment.scope.cells == policy::ScopeCells::kWhole &&
                       policy::settings_of(treatment).at("trigger") == "turn_end";
  if (!is_held) {
    problems.push_back(fmt::format(
        "arm '{}': match_bytes counts what all layers hold after a turn, so it goes with scope = "
        "whole, layers = all and trigger = turn_end only",
        arm.name));
  }
  if (arm.kind == StudyArmKind::kTreatment && is_possible) return;
  problems.push_back(fmt::format(
      "arm '{}' of kind {}: match_bytes = '{}', expected an arm of kind treatment and the name of "
      "another one that is not itself matched by bytes{}",
      arm.name, to_text(arm.kind), arm.match_bytes,
      did_you_mean(arm.match_bytes, names_of(study))));
}

// Two arms that are the same would be two names for one unit.
void add_equal_arms(const Study& study, std::vector<std::string>& problems) {
  std::map<std::string, std::string> seen;
  for (const StudyArm& arm : study.arms) {
    const auto [found, is_new] = seen.emplace(arm_key(study, arm), arm.name);
    if (is_new) continue;
    problems.push_back(
        fmt::format("arms '{}' and '{}' are the same arm twice; to compare chance "
                    "with chance give one arm more seeds",
                    found->second, arm.name));
  }
}

void add_arm_problems(const Study& study, std::vector<std::string>& problems) {
  std::set<std::string> names;
  int n_baselines = 0;
  for (const StudyArm& arm : study.arms) {
    if (!names.insert(arm.name).second) {
      problems.push_back(fmt::format("two arms are called '{}'", arm.name));
    }
    n_baselines += arm.kind == StudyArmKind::kBaseline ? 1 : 0;
    try {
      const policy::Treatment treatment = treatment_of(arm, {1});
      if (arm.kind != StudyArmKind::kTreatment && treatment.policy != "full") {
        problems.push_back(fmt::format("arm '{}': kind {} evicts nothing, found policy {}",
                                       arm.name, to_text(arm.kind), treatment.policy));
      }
      add_budget_problems(study, arm, problems);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
    add_repeats_problem(study, arm, problems);
  }
  if (n_baselines != 1) {
    problems.push_back(fmt::format("found {} arms of kind baseline, expected one", n_baselines));
  }
}

void add_contrast_problems(const Study& study, std::vector<std::string>& problems) {
  for (const auto& [endpoint, margin] : study.margins) {
    if (margin > 0 && std::isfinite(margin)) continue;
    problems.push_back(
        fmt::format("equivalence: {} = {}, expected a number above 0", endpoint, margin));
  }
  std::set<std::string> names;
  for (const record::ContrastInfo& contrast : study.contrasts) {
    if (!names.insert(contrast.name).second) {
      problems.push_back(fmt::format("two contrasts are called '{}'", contrast.name));
    }
    if (contrast.first == contrast.second) {
      problems.push_back(
          fmt::format("contrast '{}': '{}' against itself", contrast.name, contrast.first));
    }
    if (!contrast.margins.empty() && study.alpha >= 0.5) {
      problems.push_back(
          fmt::format("contrast '{}': an equivalence test needs alpha below 0.5", contrast.name));
    }
    for (const std::string& name : {contrast.first, contrast.second}) {
      if (find_arm(study, name) != nullptr) continue;
      problems.push_back(fmt::format("contrast '{}': no arm is called '{}'{}", contrast.name, name,
                                     did_you_mean(name, names_of(study))));
    }
    if (contrast.family != "confirmatory" && contrast.family != "exploratory") {
      problems.push_back(
          fmt::format("contrast '{}': family '{}', expected confirmatory or "
                      "exploratory",
                      contrast.name, contrast.family));
    }
  }
}

void add_choice_problem(const char* key, const std::string& found,
                        const std::vector<std::string>& known, std::vector<std::string>& problems) {
  if (std::find(known.begin(), known.end(), found) != known.end()) return;
  problems.push_back(fmt::format("{}: found '{}', expected {}{}", key, found,
                                 fmt::join(known, ", "), did_you_mean(found, known)));
}

void add_measure_problems(const Study& study, std::vector<std::string>& problems) {
  const std::string& primary = study.primary_endpoint;
  const Measures& measures = study.measures;
  const auto needs = [&](bool is_measured, const char* measure,
                         const std::set<std::string>& endpoints) {
    if (is_measured || !endpoints.contains(primary)) return;
    problems.push_back(
        fmt::format("primary: '{}' is not measured with measures.{} = false", primary, measure));
  };
  needs(measures.generate, "generate", {"rules", "rules_loose", "judge", "combined"});
  needs(measures.recall, "recall", {"recall", "retention"});
  needs(measures.fidelity, "fidelity", {"kl", "top1", "delta_loglik"});
  const bool are_weights = study.rule_weight >= 0 && study.judge_weight >= 0 &&
                           study.rule_weight + study.judge_weight > 0;
  if (!are_weights) {
    problems.push_back(
        fmt::format("rule_weight {} and judge_weight {}: expected numbers of at "
                    "least 0, not both 0",
                    study.rule_weight, study.judge_weight));
  }
  std::set<uint64_t> seeds(study.seeds.begin(), study.seeds.end());
  if (seeds.size() != study.seeds.size()) problems.emplace_back("seeds: a seed stands twice");
}

}  // namespace

std::string settle_primary(Study& study, const std::vector<Conversation>& conversations) {
  bool has_instructions = false;
  bool has_rules = false;
  for (const Conversation& conversation : conversations) {
    for (const Instruction* instruction : all_instructions(conversation)) {
      has_instructions = true;
      has_rules = has_rules || !instruction->rules.empty();
    }
  }
  const std::set<std::string> from_text = {"kl", "top1", "delta_loglik"};
  if (!has_instructions && !from_text.contains(study.primary_endpoint)) {
    throw Error::make(
        ErrorKind::kUsage,
        "the conversations have no instructions, so '{}' cannot be measured; expected "
        "--set statistics.primary= one of {}",
        study.primary_endpoint, fmt::join(from_text, ", "));
  }
  const std::set<std::string> from_rules = {"rules", "rules_loose", "combined"};
  if (has_rules || study.judge_weight > 0 || !from_rules.contains(study.primary_endpoint)) {
    return "";
  }
  if (!study.measures.recall) {
    throw Error::make(ErrorKind::kUsage,
                      "no instruction has a rule, so '{}' cannot be measured; expected "
                      "measures.recall = true or a judge (statistics.judge_weight)",
                      study.primary_endpoint);
  }
  const std::string old = std::exchange(study.primary_endpoint, "recall");
  return fmt::format("no instruction has a rule: the primary endpoint is recall instead of {}",
                     old);
}

void check_study(const Study& study, const std::string& where) {
  std::vector<std::string> problems;
  if (study.max_new < 1 || study.max_new > 1'000'000) {
    problems.push_back(fmt::format("max_new: found {}, expected 1 to 1000000", study.max_new));
  }
  if (study.limit < 0) problems.push_back(fmt::format("limit: found {}", study.limit));
  if (!(study.alpha > 0 && study.alpha < 1)) {
    problems.push_back(
        fmt::format("alpha: found {}, expected more than 0, less than 1", study.alpha));
  }
  add_choice_problem("primary", study.primary_endpoint,
                     {"rules", "rules_loose", "judge", "combined", "recall", "retention", "kl",
                      "top1", "delta_loglik"},
                     problems);
  add_choice_problem("test", study.test,
                     {"permutation", "paired_t", "wilcoxon", "mcnemar", "mcnemar_midp"}, problems);
  for (const auto& [key, value] : {std::pair("confirmatory", study.confirmatory_correction),
                                   std::pair("exploratory", study.exploratory_correction)}) {
    add_choice_problem(key, value, {"holm", "bh", "none"}, problems);
  }
  add_arm_problems(study, problems);
  add_contrast_problems(study, problems);
  add_measure_problems(study, problems);
  if (problems.empty()) add_equal_arms(study, problems);
  if (!problems.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: {}", where, fmt::join(problems, "; "));
  }
}

}  // namespace ebb::experiment
