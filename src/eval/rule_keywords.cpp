// keywords:*  Keywords are patterns in Python's regular-expression syntax and ignore case; a plain
// word stands for itself, also inside longer words ("art" is in "party").
#include <algorithm>

#include "base/error.h"
#include "eval/rule_table.h"
#include "eval/text_pattern.h"

namespace ebb::eval {
namespace {

Pattern keyword_pattern(TextView keyword) { return Pattern(keyword, CaseRule::kIgnore); }

// The keyword with no word character on either side.
Pattern whole_word_pattern(TextView word) {
  return Pattern(U"\\b" + Text(word) + U"\\b", CaseRule::kIgnore);
}

void check_patterns(const std::vector<Text>& patterns) {
  for (const Text& pattern : patterns) {
    keyword_pattern(pattern);
  }
}

RuleVerdict check_existence(const Rule& rule, TextView reply) {
  const std::vector<Text> keywords = texts_of(rule, "keywords");
  for (const Text& keyword : keywords) {
    if (!keyword_pattern(keyword).is_found_in(reply)) {
      return verdict(false, fmt::format("did not find {}, expected it", quoted(keyword)));
    }
  }
  return verdict(true, fmt::format("found all {} keywords", keywords.size()));
}

RuleVerdict check_frequency(const Rule& rule, TextView reply) {
  const Text keyword = text_of(rule, "keyword");
  const size_t n_found = keyword_pattern(strip(keyword)).count_in(reply);
  return compare_count(rule, "relation", n_found, integer_of(rule, "frequency"),
                       "times " + quoted(keyword));
}

RuleVerdict check_forbidden(const Rule& rule, TextView reply) {
  for (const Text& word : texts_of(rule, "forbidden_words")) {
    if (whole_word_pattern(word).is_found_in(reply)) {
      return verdict(false, fmt::format("found {}, expected it to be absent", quoted(word)));
    }
  }
  return verdict(true, "found no forbidden word");
}

RuleVerdict check_letter(const Rule& rule, TextView reply) {
  const Text letter = to_lower(strip(text_of(rule, "letter")));
  const Text lower = to_lower(reply);
  const auto n_found = static_cast<size_t>(std::count(lower.begin(), lower.end(), letter.front()));
  return compare_count(rule, "let_relation", n_found, integer_of(rule, "let_frequency"),
                       "times " + quoted(letter));
}

void require_one_letter(const Rule& rule) {
  const Text letter = text_of(rule, "letter");
  if (strip(letter).size() != 1) {
    throw Error::make(ErrorKind::kBadData, "parameter 'letter': found {}, expected one character",
                      quoted(letter));
  }
}

}  // namespace

std::vector<RuleSpec> keyword_rules() {
  return {
      {.id = "keywords:existence",
       .summary = "Every keyword occurs.",
       .parameters = {{.name = "keywords", .kind = ParameterKind::kTexts}},
       .check = check_existence,
       .extra_check = [](const Rule& rule) { check_patterns(texts_of(rule, "keywords")); }},
      {.id = "keywords:frequency",
       .summary = "The keyword occurs less than, or at least, so many times.",
       .parameters = {{.name = "keyword"},
                      {.name = "frequency", .kind = ParameterKind::kInteger},
                      relation_parameter("relation")},
       .check = check_frequency,
       .extra_check = [](const Rule& rule) { check_patterns({text_of(rule, "keyword")}); }},
      {.id = "keywords:forbidden_words",
       .summary = "None of the words occurs as a whole word.",
       .parameters = {{.name = "forbidden_words", .kind = ParameterKind::kTexts}},
       .check = check_forbidden,
       .extra_check = [](const Rule& rule) { check_patterns(texts_of(rule, "forbidden_words")); }},
      {.id = "keywords:letter_frequency",
       .summary = "The letter, large or small, occurs less than, or at least, so many times.",
       .parameters = {{.name = "letter"},
                      {.name = "let_frequency", .kind = ParameterKind::kInteger},
                      relation_parameter("let_relation")},
       .check = check_letter,
       .extra_check = require_one_letter},
  };
}

}  // namespace ebb::eval
