// change_case:*, punctuation:* and language:*  How the reply is written.
#include <fmt/format.h>

#include <algorithm>

#include "eval/rule_table.h"
#include "eval/text_language.h"
#include "eval/text_words.h"

namespace ebb::eval {
namespace {

RuleVerdict check_capital_words(const Rule& rule, TextView reply) {
  const std::vector<Text> tokens = tokenize_words(reply);
  const auto n_found = static_cast<size_t>(std::count_if(
      tokens.begin(), tokens.end(), [](const Text& token) { return is_all_upper(token); }));
  return compare_count(rule, "capital_relation", n_found, integer_of(rule, "capital_frequency"),
                       "words in capitals");
}

// Text without letters is in no language and passes.
RuleVerdict check_language(TextView reply, const std::string& wanted) {
  const std::optional<std::string> found = detect_language(reply);
  if (!found) {
    return verdict(true, "found no letters to tell the language by");
  }
  return verdict(*found == wanted, fmt::format("found the language '{}', expected '{}'",
                                               found->empty() ? "unknown" : *found, wanted));
}

RuleVerdict check_response_language(const Rule& rule, TextView reply) {
  return check_language(reply, std::get<std::string>(rule.parameters.at("language")));
}

RuleVerdict check_english_capital(const Rule&, TextView reply) {
  return is_all_upper(reply)
             ? check_language(reply, "en")
             : verdict(false, "found small letters, or no letters; expected capitals");
}

RuleVerdict check_english_lowercase(const Rule&, TextView reply) {
  return is_all_lower(reply)
             ? check_language(reply, "en")
             : verdict(false, "found capitals, or no letters; expected small letters");
}

RuleVerdict check_no_comma(const Rule&, TextView reply) {
  const auto n_found = std::count(reply.begin(), reply.end(), U',');
  return verdict(n_found == 0, fmt::format("found {} commas, expected none", n_found));
}

}  // namespace

std::vector<RuleSpec> wording_rules() {
  return {
      {.id = "change_case:capital_word_frequency",
       .summary = "There are less than, or at least, so many words in capitals only.",
       .parameters = {{.name = "capital_frequency", .kind = ParameterKind::kInteger},
                      relation_parameter("capital_relation")},
       .check = check_capital_words},
      {.id = "change_case:english_capital",
       .summary = "The reply is in English and in capitals only.",
       .parameters = {},
       .check = check_english_capital},
      {.id = "change_case:english_lowercase",
       .summary = "The reply is in English and in small letters only.",
       .parameters = {},
       .check = check_english_lowercase},
      {.id = "punctuation:no_comma",
       .summary = "There is no comma.",
       .parameters = {},
       .check = check_no_comma},
      {.id = "language:response_language",
       .summary = "The reply is in the language with this ISO 639-1 code.",
       .parameters = {{.name = "language", .choices = known_languages()}},
       .check = check_response_language},
  };
}

}  // namespace ebb::eval
