#include "policy/treatment_text.h"

#include <toml++/toml.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "policy/budget_file.h"
#include "policy/catalogue.h"
#include "policy/names.h"

namespace ebb::embedded {
std::string_view treatments_toml();
}

namespace ebb::policy {
namespace {

constexpr int64_t kMany = 1'000'000'000;
constexpr int64_t kOrdinalsMax = int64_t{1} << 24;  // as many tokens as any model is trained for

std::vector<ParamSpec> make_treatment_params() {
  return {
      text_param("budget", "cells per layer and KV head"),
      text_param("ratio", "budget as an exact share of `of`, rounded down, at least 1"),
      choice_param("of", names_in(ratio_of_names()), "what `ratio` is a share of"),
      text_param("bytes", "budget for the whole cache of a sequence"),
      text_param("schedule", "budget for each turn: counts separated by commas"),
      choice_param("allocator", names_in(allocator_names()), "how the budget is shared"),
      text_param("alpha",
                 "guaranteed share of a head under ada_floor, ada_mix (0.2) and global (0)"),
      choice_param("normalize", {"on", "off"}, "ada_mix: weigh scores by the head's share of mass"),
      integer_param("beta", 20, 1, kMany, "steepness of a pyramid"),
      choice_param("quota_by", names_in(quota_names()), "span_quota: what keeps its share"),
      text_param("layer_budgets", "allocator layers: one count a layer, separated by commas"),
      text_param("budget_file", "allocator file: JSON with budgets or shares [layer][head]"),
      choice_param("refine", names_in(refine_names()), "how values weigh in on attention scores"),
      integer_param("chunk", 0, 0, kMany, "keep whole chunks of this many cells; 0 = off"),
      {.name = "trigger",
       .type = ParamType::kText,
       .fallback = "turn_end",
       .choices = {},
       .help =
           "turn_end, prompt_end, cap, every_n:N, prompt_block:N, or several separated by commas"},
      choice_param("scope", names_in(scope_names()), "over which cells"),
      integer_param("hybrid_cap", 0, 0, kMany, "scope hybrid: cells per layer and head"),
      choice_param("layers", names_in(layer_scope_names()), "over which layers"),
      choice_param("positions", names_in(position_names()), "where kept keys count from"),
      integer_param("protect_first", 0, 0, kMany, "protected: ordinals below this"),
      integer_param("protect_last", 0, 0, kMany, "protected: the newest cells of each head"),
      text_param("protect_roles", "protected: roles separated by commas"),
      text_param("protect_ordinals", "protected: ordinals or ranges such as 1,5-9"),
      text_param("protect_instructions", "protected: instruction ids separated by commas"),
      choice_param("observe", names_in(observe_names()), "which queries a window looks through"),
  };
}

std::vector<Ordinal> parse_ordinals(const std::string& text) {
  std::vector<Ordinal> out;
  for (const std::string& part : split_list(text)) {
    const auto ends = split_list(part, '-');
    const auto first = parse_integer(ends.empty() ? part : ends.front(), "protect_ordinals");
    const auto last = ends.size() == 2 ? parse_integer(ends[1], "protect_ordinals") : first;
    if (ends.size() > 2 || first < 0 || last < first || last >= kMany) {
      throw Error::make(ErrorKind::kUsage, "protect_ordinals: '{}' is not an ordinal or a range",
                        part);
    }
    if (last - first >= kOrdinalsMax - static_cast<int64_t>(out.size())) {
      throw Error::make(ErrorKind::kUsage, "protect_ordinals: '{}': expected at most {} in all",
                        part, kOrdinalsMax);
    }
    for (int64_t o = first; o <= last; ++o) out.push_back({static_cast<uint32_t>(o)});
  }
  return out;
}

std::vector<int64_t> parse_counts(const std::string& text, std::string_view where) {
  std::vector<int64_t> out;
  for (const std::string& part : split_list(text)) out.push_back(parse_integer(part, where));
  return out;
}

Budget parse_budget(const Params& p) {
  Budget budget;
  int n_given = 0;
  if (!p.text("budget").empty()) {
    budget.kind = BudgetKind::kCount;
    budget.count = p.integer("budget");
    ++n_given;
  }
  if (!p.text("ratio").empty()) {
    budget.kind = BudgetKind::kRatio;
    budget.ratio = p.ratio("ratio");
    ++n_given;
  }
  if (!p.text("bytes").empty()) {
    budget.kind = BudgetKind::kBytes;
    budget.size_bytes = p.integer("bytes");
    ++n_given;
  }
  if (!p.text("schedule").empty()) {
    budget.kind = BudgetKind::kSchedule;
    budget.schedule = parse_counts(p.text("schedule"), "schedule");
    ++n_given;
  }
  if (n_given > 1) {
    throw Error(ErrorKind::kUsage, "give only one of budget, ratio, bytes, schedule");
  }
  budget.of = value_named(ratio_of_names(), p.text("of"), "of");
  return budget;
}

Trigger parse_trigger(const std::string& text) {
  const std::vector<std::string> known = {"turn_end", "prompt_end", "cap", "every_n:N",
                                          "prompt_block:N"};
  Trigger trigger;
  trigger.at_turn_end = false;
  for (const std::string& part : split_list(text)) {
    const auto words = split_list(part, ':');
    const auto n = words.size() == 2 ? parse_integer(words[1], "trigger " + words[0]) : 0;
    if (part == "turn_end") {
      trigger.at_turn_end = true;
    } else if (part == "prompt_end") {
      trigger.at_prompt_end = true;
    } else if (part == "cap") {
      trigger.at_cap = true;
    } else if (words[0] == "every_n" && n > 0) {
      trigger.every_n = n;
    } else if (words[0] == "prompt_block" && n > 0) {
      trigger.prompt_block = n;
    } else if (part != "none") {
      throw Error::make(ErrorKind::kUsage, "trigger: '{}' is none of {}, none{}", part,
                        fmt::join(known, ", "), did_you_mean(part, known));
    }
  }
  return trigger;
}

Allocator parse_allocator(const Params& p) {
  Allocator allocator;
  allocator.kind = value_named(allocator_names(), p.text("allocator"), "allocator");
  const bool is_global = allocator.kind == AllocatorKind::kGlobal;
  allocator.alpha =
      Ratio::parse(p.text("alpha").empty() ? (is_global ? "0" : "0.2") : p.text("alpha"));
  allocator.normalize = p.is_on("normalize");
  allocator.beta = p.integer("beta");
  allocator.quota_by = value_named(quota_names(), p.text("quota_by"), "quota_by");
  allocator.layers = parse_counts(p.text("layer_budgets"), "layer_budgets");
  allocator.budget_file = p.text("budget_file");
  if (!allocator.budget_file.empty()) allocator.table = load_budget_file(allocator.budget_file);
  return allocator;
}

Protection parse_protection(const Params& p) {
  Protection protection;
  protection.first_ordinals = p.integer("protect_first");
  protection.last_cells = p.integer("protect_last");
  for (const std::string& role : split_list(p.text("protect_roles"))) {
    protection.roles.push_back(value_named(role_names(), role, "protect_roles"));
  }
  protection.ordinals = parse_ordinals(p.text("protect_ordinals"));
  protection.instruction_ids = split_list(p.text("protect_instructions"));
  return protection;
}

// Splits settings into the policy's parameters and the treatment's; unknown keys are refused here,
// where both lists are known.
std::pair<ParamMap, ParamMap> split_settings(const PolicySpec& spec, const ParamMap& settings,
                                             std::string_view where) {
  std::vector<std::string> names;
  for (const ParamSpec& param : spec.params) names.push_back(param.name);
  const size_t n_own = names.size();
  for (const ParamSpec& param : treatment_params()) names.push_back(param.name);
  std::pair<ParamMap, ParamMap> out;
  for (const auto& [key, value] : settings) {
    if (key == "policy") continue;
    const auto found = std::find(names.begin(), names.end(), key);
    if (found == names.end()) {
      throw Error::make(
          ErrorKind::kUsage, "{}: unknown parameter '{}'{}; policy {} has: {}", where, key,
          did_you_mean(key, names), spec.name,
          n_own == 0
              ? "none"
              : fmt::format("{}",
                            fmt::join(names.begin(),
                                      names.begin() + static_cast<std::ptrdiff_t>(n_own), ", ")));
    }
    (static_cast<size_t>(found - names.begin()) < n_own ? out.first : out.second)[key] = value;
  }
  return out;
}

std::vector<NamedTreatment> parse_named() {
  std::vector<NamedTreatment> out;
  const toml::table tables = toml::parse(embedded::treatments_toml());
  for (const auto& [name, node] : tables) {
    NamedTreatment named;
    named.name = std::string(name.str());
    EBB_CHECK(node.is_table());
    for (const auto& [key, value] : *node.as_table()) {
      std::string text;
      if (value.is_string()) {
        text = value.as_string()->get();
      } else {
        EBB_CHECK(value.is_integer());
        text = fmt::format("{}", value.as_integer()->get());
      }
      if (key.str() == "summary") {
        named.summary = text;
      } else if (key.str() == "paper") {
        named.paper = text;
      } else {
        named.settings[std::string(key.str())] = text;
      }
    }
    out.push_back(std::move(named));
  }
  return out;
}

// The settings behind a name: a policy alone, or a named combination.
ParamMap settings_behind(std::string_view name) {
  std::vector<std::string> names;
  for (const NamedTreatment& named : named_treatments()) {
    if (named.name == name) return named.settings;
    names.push_back(named.name);
  }
  for (const PolicySpec& spec : catalogue()) {
    if (spec.name == name) return {{"policy", std::string(name)}};
    names.push_back(spec.name);
  }
  throw Error::make(ErrorKind::kUsage, "unknown policy or treatment '{}'{}; known: {}", name,
                    did_you_mean(name, names), fmt::join(names, ", "));
}

}  // namespace

const std::vector<NamedTreatment>& named_treatments() {
  static const std::vector<NamedTreatment> kNamed = parse_named();
  return kNamed;
}

const std::vector<ParamSpec>& treatment_params() {
  static const std::vector<ParamSpec> kParams = make_treatment_params();
  return kParams;
}

Treatment make_treatment(std::string_view name, const ParamMap& params) {
  const std::string where = fmt::format("treatment '{}'", name);
  ParamMap settings = settings_behind(name);
  for (const auto& [key, value] : params) {
    if (key == "policy" && settings.at("policy") != value) {
      throw Error::make(ErrorKind::kUsage, "{} is policy {}, not {}", where, settings.at("policy"),
                        value);
    }
    settings[key] = value;
  }
  const PolicySpec& spec = find_policy(settings.at("policy"));
  const auto [own, rest] = split_settings(spec, settings, where);
  const Params p(treatment_params(), rest, where);

  Treatment t;
  t.name = std::string(name);
  t.policy = spec.name;
  t.policy_params = Params(spec.params, own, where).resolved();
  try {
    t.refine = value_named(refine_names(), p.text("refine"), "refine");
    t.chunk = p.integer("chunk");
    t.allocator = parse_allocator(p);
    t.budget = parse_budget(p);
    t.trigger = parse_trigger(p.text("trigger"));
    t.scope = {.cells = value_named(scope_names(), p.text("scope"), "scope"),
               .layers = value_named(layer_scope_names(), p.text("layers"), "layers"),
               .hybrid_cap = p.integer("hybrid_cap")};
    t.positions = value_named(position_names(), p.text("positions"), "positions");
    t.protection = parse_protection(p);
    t.observe = value_named(observe_names(), p.text("observe"), "observe");
  } catch (const Error& error) {
    throw error.with_context(where);
  }
  if (const auto problems = problems_of(t); !problems.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: {}", where, fmt::join(problems, "; "));
  }
  return t;
}

}  // namespace ebb::policy
