// length_constraints:*  Sentences, words and paragraphs are counted as the public checker counts
// them: paragraphs are parted by "***" in one rule and by an empty line in another.
#include <algorithm>

#include "base/error.h"
#include "eval/rule_table.h"
#include "eval/text_sentences.h"
#include "eval/text_words.h"

namespace ebb::eval {
namespace {

RuleVerdict check_sentences(const Rule& rule, TextView reply) {
  return compare_count(rule, "relation", split_sentences(reply).size(),
                       integer_of(rule, "num_sentences"), "sentences");
}

RuleVerdict check_words(const Rule& rule, TextView reply) {
  return compare_count(rule, "relation", count_words(reply), integer_of(rule, "num_words"),
                       "words");
}

RuleVerdict check_paragraphs(const Rule& rule, TextView reply) {
  const std::vector<TextView> pieces = split(reply, U"***");
  size_t n_found = pieces.size();
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!is_blank(pieces[i])) {
      continue;
    }
    if (i > 0 && i + 1 < pieces.size()) {
      return verdict(false,
                     fmt::format("found nothing between two dividers, as paragraph {}", i + 1));
    }
    --n_found;
  }
  const int64_t n_wanted = integer_of(rule, "num_paragraphs");
  return verdict(static_cast<int64_t>(n_found) == n_wanted,
                 fmt::format("found {} paragraphs, expected {}", n_found, n_wanted));
}

// The start of the first word, small, up to its first punctuation mark.
Text first_word_of(TextView paragraph) {
  TextView word = split_words(paragraph).front();
  for (const char32_t quote : {U'\'', U'"'}) {
    while (word.starts_with(quote)) {
      word.remove_prefix(1);
    }
  }
  Text start;
  for (const char32_t c : word.substr(0, word.find_first_of(U".,?!'\""))) {
    start += to_lower(TextView(&c, 1));
  }
  return start;
}

RuleVerdict check_first_word(const Rule& rule, TextView reply) {
  const std::vector<TextView> pieces = split(reply, U"\n\n");
  const auto n_found = static_cast<int64_t>(
      std::count_if(pieces.begin(), pieces.end(), [](TextView piece) { return !is_blank(piece); }));
  const int64_t n_wanted = integer_of(rule, "num_paragraphs");
  const int64_t nth = integer_of(rule, "nth_paragraph");
  if (nth > n_found) {
    return verdict(false, fmt::format("found {} paragraphs, expected {}", n_found, n_wanted));
  }
  // Counted among all pieces, also blank ones: so does the public checker.
  const TextView paragraph = strip(pieces[static_cast<size_t>(nth - 1)]);
  if (paragraph.empty()) {
    return verdict(false, fmt::format("found nothing as paragraph {}", nth));
  }
  const Text found = first_word_of(paragraph);
  const Text wanted = to_lower(text_of(rule, "first_word"));
  return verdict(n_found == n_wanted && found == wanted,
                 fmt::format("found {} paragraphs, number {} begins with {}; expected {}, with {}",
                             n_found, nth, quoted(found), n_wanted, quoted(wanted)));
}

void require_nth_exists(const Rule& rule) {
  const int64_t nth = integer_of(rule, "nth_paragraph");
  const int64_t n_wanted = integer_of(rule, "num_paragraphs");
  if (nth > n_wanted) {
    throw Error::make(ErrorKind::kBadData,
                      "parameter 'nth_paragraph': found {}, expected at most num_paragraphs = {}",
                      nth, n_wanted);
  }
}

}  // namespace

std::vector<RuleSpec> length_rules() {
  return {
      {.id = "length_constraints:number_sentences",
       .summary = "There are less than, or at least, so many sentences.",
       .parameters = {{.name = "num_sentences", .kind = ParameterKind::kInteger},
                      relation_parameter("relation")},
       .check = check_sentences},
      {.id = "length_constraints:number_paragraphs",
       .summary = "There are exactly so many paragraphs, parted by ***.",
       .parameters = {{.name = "num_paragraphs", .kind = ParameterKind::kInteger}},
       .check = check_paragraphs},
      {.id = "length_constraints:number_words",
       .summary = "There are less than, or at least, so many words.",
       .parameters = {{.name = "num_words", .kind = ParameterKind::kInteger},
                      relation_parameter("relation")},
       .check = check_words},
      {.id = "length_constraints:nth_paragraph_first_word",
       .summary =
           "There are exactly so many paragraphs, parted by an empty line, and the nth begins "
           "with the word.",
       .parameters = {{.name = "num_paragraphs", .kind = ParameterKind::kInteger, .least = 1},
                      {.name = "nth_paragraph", .kind = ParameterKind::kInteger, .least = 1},
                      {.name = "first_word"}},
       .check = check_first_word,
       .extra_check = require_nth_exists},
  };
}

}  // namespace ebb::eval
