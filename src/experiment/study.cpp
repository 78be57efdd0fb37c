#include "experiment/study.h"

#include <fmt/format.h>

#include <algorithm>

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
  if (!arm.match_bytes.empty()) out += fmt::format("match_bytes = {}\n", quoted(arm.match_bytes));
  if (!arm.repeats.empty()) out += fmt::format("repeats = {}\n", quoted(arm.repeats));
  out += fmt::format("n_seeds = {}\n", arm.n_seeds);
  // A matched budget is known only when a conversation is.
  const policy::ParamMap settings =
      is_matched(arm) ? arm.settings : policy::settings_of(treatment_of(arm));
  for (const auto& [key, value] : settings) {
    if (key != "policy" && !value.empty()) out += fmt::format("{} = {}\n", key, quoted(value));
  }
  return out;
}

}  // namespace

std::map<std::string, double> default_margins() {
  std::map<std::string, double> out;
  for (const char* endpoint :
       {"rules", "rules_loose", "judge", "combined", "perseveration", "retention", "recall"}) {
    out[endpoint] = 0.1;
  }
  for (const char* endpoint : {"kl", "top1", "delta_loglik"}) out[endpoint] = 0.05;
  return out;
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
  out += "\n[equivalence]\n";
  for (const auto& [endpoint, margin] : s.margins)
    out += fmt::format("{} = {}\n", endpoint, margin);
  for (const StudyArm& arm : s.arms) out += arm_toml(arm);
  for (const record::ContrastInfo& c : s.contrasts) {
    out += fmt::format("\n[[contrasts]]\nname = {}\nfirst = {}\nsecond = {}\nfamily = {}\n",
                       quoted(c.name), quoted(c.first), quoted(c.second), quoted(c.family));
    if (!c.margins.empty()) out += "equivalence = true\n";
  }
  return out;
}

policy::Treatment treatment_of(const StudyArm& arm, const std::vector<int64_t>& schedule) {
  policy::ParamMap settings = arm.settings;
  try {
    if (!arm.share.empty()) Ratio::parse(arm.share);
    if (is_matched(arm)) {
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
