#include "experiment/import_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiment/import.h"

namespace ebb::experiment {
namespace {

using nlohmann::json;

// Some files write whole numbers as 3.0, which no rule takes.
json whole_number(const json& value) {
  constexpr double kMost = 1e9;
  if (!value.is_number_float()) return value;
  const double number = value.get<double>();
  if (number != std::floor(number) || std::abs(number) > kMost) return value;
  return static_cast<int64_t>(number);
}

}  // namespace

const std::vector<std::string>& importable_rules() {
  static const std::vector<std::string> kRules = {
      "keywords:existence",
      "keywords:frequency",
      "keywords:forbidden_words",
      "keywords:letter_frequency",
      "length_constraints:number_sentences",
      "length_constraints:number_paragraphs",
      "length_constraints:number_words",
      "length_constraints:nth_paragraph_first_word",
      "detectable_content:number_placeholders",
      "detectable_content:postscript",
      "detectable_format:number_bullet_lists",
      "detectable_format:constrained_response",
      "detectable_format:number_highlighted_sections",
      "detectable_format:multiple_sections",
      "detectable_format:json_format",
      "detectable_format:title",
      "combination:two_responses",
      "combination:repeat_prompt",
      "startend:end_checker",
      "startend:quotation",
      "change_case:capital_word_frequency",
      "change_case:english_capital",
      "change_case:english_lowercase",
      "punctuation:no_comma",
      "language:response_language",
  };
  return kRules;
}

std::vector<std::string> RuleImport::rules(const Item& item, const std::string& field,
                                           const json& ids, const json& parameters) {
  if (!ids.is_array() || !parameters.is_array() || ids.size() != parameters.size()) {
    item.fail(field, fmt::format("found {} with parameters {}, expected two lists of equal length",
                                 shown(ids), shown(parameters)));
  }
  const auto& known = importable_rules();
  std::vector<std::string> out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!ids[i].is_string()) item.fail(field, "found " + shown(ids[i]) + ", expected a rule's id");
    const auto id = ids[i].get<std::string>();
    const json& given = parameters[i];
    if (!given.is_object() && !given.is_null()) {
      item.fail(field,
                fmt::format("found {} as parameters of {}, expected an object", shown(given), id));
    }
    if (std::find(known.begin(), known.end(), id) == known.end()) {
      ++n_unknown_[id];
      continue;
    }
    json rule = {{"id", id}, {"parameters", json::object()}};
    for (const auto& [name, value] : given.items()) {
      if (!value.is_null()) rule["parameters"][name] = whole_number(value);
    }
    out.push_back(rule.dump());
  }
  return out;
}

std::vector<std::string> RuleImport::notices() const {
  std::vector<std::string> out;
  for (const auto& [id, count] : n_unknown_) {
    out.push_back(fmt::format("rule {} not known ({} times): judged only by a judge", id, count));
  }
  return out;
}

}  // namespace ebb::experiment
