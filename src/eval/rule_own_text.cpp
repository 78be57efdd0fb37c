// ebb:* rules on content and length. Texts are literal (no patterns) and ignore case.
#include <fmt/format.h>

#include <algorithm>

#include "eval/rule_table.h"
#include "eval/text_sentences.h"
#include "eval/text_words.h"

namespace ebb::eval {
namespace {

Text folded(TextView text) {
  Text result(text);
  std::transform(result.begin(), result.end(), result.begin(), fold_case);
  return result;
}

// Does `phrase` occur with no word character next to it where it begins or ends with one?
bool contains_phrase(TextView reply, TextView phrase) {
  const Text text = folded(reply);
  const Text wanted = folded(strip(phrase));
  for (size_t at = text.find(wanted); at != Text::npos; at = text.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    const bool is_cut_before = at > 0 && is_word(text[at - 1]) && is_word(wanted.front());
    const bool is_cut_after = end < text.size() && is_word(text[end]) && is_word(wanted.back());
    if (!is_cut_before && !is_cut_after) {
      return true;
    }
  }
  return false;
}

RuleVerdict check_starts_with(const Rule& rule, TextView reply) {
  const Text wanted = text_of(rule, "text");
  const TextView start = strip(reply).substr(0, strip(wanted).size());
  return verdict(folded(start) == folded(strip(wanted)),
                 fmt::format("found {} at the start, expected {}", quoted(start), quoted(wanted)));
}

RuleVerdict check_ends_with(const Rule& rule, TextView reply) {
  const Text wanted = text_of(rule, "text");
  const TextView text = strip(reply);
  const TextView end = text.substr(text.size() - std::min(text.size(), strip(wanted).size()));
  return verdict(folded(end) == folded(strip(wanted)),
                 fmt::format("found {} at the end, expected {}", quoted(end), quoted(wanted)));
}

RuleVerdict check_contains(const Rule& rule, TextView reply) {
  for (const Text& text : texts_of(rule, "texts")) {
    if (!contains_phrase(reply, text)) {
      return verdict(false, fmt::format("did not find {}, expected it", quoted(text)));
    }
  }
  return verdict(true, "found every text");
}

RuleVerdict check_absent(const Rule& rule, TextView reply) {
  for (const Text& text : texts_of(rule, "texts")) {
    if (contains_phrase(reply, text)) {
      return verdict(false, fmt::format("found {}, expected it to be absent", quoted(text)));
    }
  }
  return verdict(true, "found none of the texts");
}

RuleVerdict check_max_words(const Rule& rule, TextView reply) {
  const auto n_found = static_cast<int64_t>(count_words(reply));
  const int64_t n_max = integer_of(rule, "words");
  return verdict(n_found <= n_max,
                 fmt::format("found {} words, expected at most {}", n_found, n_max));
}

RuleVerdict check_min_words(const Rule& rule, TextView reply) {
  const auto n_found = static_cast<int64_t>(count_words(reply));
  const int64_t n_min = integer_of(rule, "words");
  return verdict(n_found >= n_min,
                 fmt::format("found {} words, expected at least {}", n_found, n_min));
}

RuleVerdict check_max_sentences(const Rule& rule, TextView reply) {
  const auto n_found = static_cast<int64_t>(split_sentences(reply).size());
  const int64_t n_max = integer_of(rule, "sentences");
  return verdict(n_found <= n_max,
                 fmt::format("found {} sentences, expected at most {}", n_found, n_max));
}

auto count_digits(TextView reply) { return std::count_if(reply.begin(), reply.end(), is_digit); }

RuleVerdict check_no_digits(const Rule&, TextView reply) {
  const auto n_found = count_digits(reply);
  return verdict(n_found == 0, fmt::format("found {} digits, expected none", n_found));
}

RuleVerdict check_has_digits(const Rule&, TextView reply) {
  const auto n_found = count_digits(reply);
  return verdict(n_found > 0, fmt::format("found {} digits, expected at least one", n_found));
}

}  // namespace

std::vector<RuleSpec> own_text_rules() {
  const std::vector<ParameterSpec> one_text = {{.name = "text"}};
  const std::vector<ParameterSpec> texts = {{.name = "texts", .kind = ParameterKind::kTexts}};
  const auto integer = [](const char* name) {
    return std::vector<ParameterSpec>{{.name = name, .kind = ParameterKind::kInteger, .least = 1}};
  };
  return {
      {"ebb:starts_with", "The reply begins with the text.", one_text, check_starts_with},
      {"ebb:ends_with", "The reply ends with the text.", one_text, check_ends_with},
      {"ebb:contains", "Every text occurs, as whole words.", texts, check_contains},
      {"ebb:absent", "None of the texts occurs as whole words.", texts, check_absent},
      {"ebb:max_words", "There are at most so many words.", integer("words"), check_max_words},
      {"ebb:min_words", "There are at least so many words.", integer("words"), check_min_words},
      {"ebb:max_sentences", "There are at most so many sentences.", integer("sentences"),
       check_max_sentences},
      {"ebb:no_digits", "There is no digit.", {}, check_no_digits},
      {"ebb:has_digits", "There is at least one digit.", {}, check_has_digits},
  };
}

}  // namespace ebb::eval
