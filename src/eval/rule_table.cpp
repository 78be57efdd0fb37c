#include "eval/rule_table.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace ebb::eval {

const std::vector<RuleSpec>& rule_table() {
  static const std::vector<RuleSpec> kTable = [] {
    std::vector<RuleSpec> table;
    for (const auto& family :
         {keyword_rules(), length_rules(), content_rules(), format_rules(), wording_rules(),
          own_text_rules(), own_style_rules(), own_format_rules()}) {
      table.insert(table.end(), family.begin(), family.end());
    }
    return table;
  }();
  return kTable;
}

const RuleSpec& find_rule(std::string_view id) {
  for (const RuleSpec& spec : rule_table()) {
    if (spec.id == id) {
      return spec;
    }
  }
  throw Error::make(ErrorKind::kBadData,
                    "rule: found the unknown id '{}', expected one of {} known{}", id,
                    rule_table().size(), did_you_mean(id, known_rules()));
}

int64_t integer_of(const Rule& rule, const std::string& name) {
  return std::get<int64_t>(rule.parameters.at(name));
}

Text text_of(const Rule& rule, const std::string& name) {
  return decode_utf8(std::get<std::string>(rule.parameters.at(name)));
}

std::vector<Text> texts_of(const Rule& rule, const std::string& name) {
  std::vector<Text> texts;
  for (const std::string& text : std::get<std::vector<std::string>>(rule.parameters.at(name))) {
    texts.push_back(decode_utf8(text));
  }
  return texts;
}

ParameterSpec relation_parameter(const std::string& name) {
  return {.name = name, .kind = ParameterKind::kText, .choices = {"less than", "at least"}};
}

RuleVerdict compare_count(const Rule& rule, const std::string& relation_name, size_t n_found,
                          int64_t n_wanted, std::string_view what) {
  const auto& relation = std::get<std::string>(rule.parameters.at(relation_name));
  const auto found = static_cast<int64_t>(n_found);
  const bool has_passed = relation == "less than" ? found < n_wanted : found >= n_wanted;
  return verdict(has_passed,
                 fmt::format("found {} {}, expected {} {}", n_found, what, relation, n_wanted));
}

RuleVerdict verdict(bool has_passed, std::string detail) {
  return {has_passed ? Outcome::kPass : Outcome::kFail, std::move(detail)};
}

std::string quoted(TextView text) {
  constexpr size_t kMaxShown = 60;
  std::string shown = encode_utf8(text.substr(0, kMaxShown));
  std::replace(shown.begin(), shown.end(), '\n', ' ');
  return fmt::format("'{}{}'", shown, text.size() > kMaxShown ? "..." : "");
}

}  // namespace ebb::eval
