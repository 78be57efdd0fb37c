#include "experiment/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "base/text.h"
#include "policy/treatment_text.h"

namespace ebb::embedded {
std::string_view study_validation();
std::string_view study_day6();
std::string_view study_forgetting_curve();
std::string_view study_flowkv();
std::string_view study_pitfalls();
std::string_view study_dose_response();
}  // namespace ebb::embedded

namespace ebb::experiment {
namespace {

// A TOML basic string.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string arm_toml(const StudyArm& arm) {
  std::string out = fmt::format("\n[[arms]]\nname = {}\nkind = {}\ntreatment = {}\n",
                                quoted(arm.name), quoted(to_text(arm.kind)), quoted(arm.treatment));
  if (!arm.share.empty()) out += fmt::format("share = {}\n", quoted(arm.share));
  if (!arm.repeats.empty()) out += fmt::format("repeats = {}\n", quoted(arm.repeats));
  out += fmt::format("n_seeds = {}\n", arm.n_seeds);
  // With a share the budget is known only when a conversation is.
  const policy::ParamMap settings =
      arm.share.empty() ? policy::settings_of(treatment_of(arm)) : arm.settings;
  for (const auto& [key, value] : settings) {
    if (key != "policy" && !value.empty()) out += fmt::format("{} = {}\n", key, quoted(value));
  }
  return out;
}

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
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
    if (arm.kind != StudyArmKind::kTextRemoval) continue;
    const StudyArm* of = find_arm(study, arm.repeats);
    const bool is_streaming = of != nullptr && treatment_of(*of, {1}).policy == "streaming";
    if (!is_streaming) {
      problems.push_back(fmt::format(
          "arm '{}': repeats = '{}', expected the name of an arm with the policy streaming{}",
          arm.name, arm.repeats, did_you_mean(arm.repeats, names_of(study))));
    }
  }
  if (n_baselines != 1) {
    problems.push_back(fmt::format("found {} arms of kind baseline, expected one", n_baselines));
  }
}

void add_contrast_problems(const Study& study, std::vector<std::string>& problems) {
  for (const record::ContrastInfo& contrast : study.contrasts) {
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

}  // namespace

void check_study(const Study& study, const std::string& where);

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
  if (!problems.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: {}", where, fmt::join(problems, "; "));
  }
}

std::string to_toml(const Study& s) {
  std::string out;
  out += fmt::format("name = {}\ntitle = {}\nquestion = {}\n", quoted(s.name), quoted(s.title),
                     quoted(s.question));
  out += fmt::format("model = {}\ndata = {}\nlimit = {}\nmax_new = {}\nseeds = [{}]\n",
                     quoted(s.model), quoted(s.data), s.limit, s.max_new, fmt::join(s.seeds, ", "));
  out += fmt::format("history = {}\n", quoted(to_text(s.history)));
  out += fmt::format("\n[sampling]\ntemperature = {:.9g}\ntop_p = {:.9g}\n", s.sampling.temperature,
                     s.sampling.top_p);
  out += fmt::format("\n[measures]\ngenerate = {}\nfidelity = {}\nrecall = {}\ncache_maps = {}\n",
                     s.measures.generate, s.measures.fidelity, s.measures.recall,
                     s.measures.n_cache_maps);
  out += fmt::format(
      "\n[statistics]\nprimary = {}\nalpha = {}\ntest = {}\nconfirmatory = {}\nexploratory = {}\n"
      "seed = {}\nrule_weight = {}\njudge_weight = {}\n",
      quoted(s.primary_endpoint), s.alpha, quoted(s.test), quoted(s.confirmatory_correction),
      quoted(s.exploratory_correction), s.statistics_seed, s.rule_weight, s.judge_weight);
  for (const StudyArm& arm : s.arms) out += arm_toml(arm);
  for (const record::ContrastInfo& c : s.contrasts) {
    out += fmt::format("\n[[contrasts]]\nname = {}\nfirst = {}\nsecond = {}\nfamily = {}\n",
                       quoted(c.name), quoted(c.first), quoted(c.second), quoted(c.family));
    if (c.margin) out += fmt::format("margin = {}\n", *c.margin);
  }
  return out;
}

policy::Treatment treatment_of(const StudyArm& arm, const std::vector<int64_t>& schedule) {
  policy::ParamMap settings = arm.settings;
  try {
    if (!arm.share.empty()) {
      Ratio::parse(arm.share);
      settings["schedule"] = fmt::format("{}", fmt::join(schedule, ","));
    }
    return policy::make_treatment(arm.treatment, settings);
  } catch (const Error& error) {
    throw error.with_context(fmt::format("arm '{}'", arm.name));
  }
}

std::vector<uint64_t> seeds_of(const Study& study, const StudyArm& arm) {
  const bool is_random =
      treatment_of(arm, {1}).policy == "random" || study.sampling.temperature > 0;
  size_t n = is_random ? study.seeds.size() : 1;
  if (arm.n_seeds > 0) n = std::min(n, static_cast<size_t>(arm.n_seeds));
  return {study.seeds.begin(), study.seeds.begin() + static_cast<ptrdiff_t>(n)};
}

void sample_conversations(std::vector<Conversation>& conversations, int64_t limit) {
  if (limit <= 0 || conversations.size() <= static_cast<size_t>(limit)) return;
  std::vector<uint64_t> keys;
  for (const Conversation& c : conversations) keys.push_back(conversation_key(c.id));
  const auto last = static_cast<size_t>(limit) - 1;
  std::nth_element(keys.begin(), keys.begin() + static_cast<ptrdiff_t>(last), keys.end());
  const uint64_t most = keys[last];
  std::erase_if(conversations,
                [&](const Conversation& c) { return conversation_key(c.id) > most; });
}

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"validation", std::string(embedded::study_validation())},
      {"day6", std::string(embedded::study_day6())},
      {"forgetting-curve", std::string(embedded::study_forgetting_curve())},
      {"flowkv", std::string(embedded::study_flowkv())},
      {"pitfalls", std::string(embedded::study_pitfalls())},
      {"dose-response", std::string(embedded::study_dose_response())}};
  return all;
}

}  // namespace ebb::experiment
