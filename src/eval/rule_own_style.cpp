// ebb:* rules on tone: capitals, exclamation marks, first person, contractions, emoji. Markers that
// a program can find for certain; what needs judgement ("be polite") is left to the judge.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "eval/rule_table.h"

namespace ebb::eval {
namespace {

// Words with their inner apostrophes, small, with one form of apostrophe; "US" stays as it is.
std::vector<Text> plain_words(TextView reply) {
  std::vector<Text> words;
  Text word;
  for (size_t i = 0; i <= reply.size(); ++i) {
    const char32_t c = i < reply.size() ? reply[i] : U' ';
    const bool is_apostrophe = c == U'\'' || c == U'’';
    const bool is_inside = i + 1 < reply.size() && is_word(reply[i + 1]) && !word.empty();
    if (is_word(c) || (is_apostrophe && is_inside)) {
      word += is_apostrophe ? U'\'' : c;
    } else if (!word.empty()) {
      words.push_back(word == U"US" ? word : to_lower(word));
      word.clear();
    }
  }
  return words;
}

bool is_first_person(const Text& word) {
  static constexpr std::array<TextView, 10> kPronouns = {
      U"i", U"me", U"my", U"mine", U"myself", U"we", U"us", U"our", U"ours", U"ourselves"};
  const TextView head = TextView(word).substr(0, word.find(U'\''));
  return std::find(kPronouns.begin(), kPronouns.end(), head) != kPronouns.end();
}

bool is_contraction(const Text& word) {
  static constexpr std::array<TextView, 6> kEndings = {U"n't", U"'re", U"'ve",
                                                       U"'ll", U"'m",  U"'d"};
  // "'s" is a contraction only where it cannot be a possessive.
  static constexpr std::array<TextView, 13> kWithS = {
      U"it's",  U"that's", U"he's",    U"she's", U"there's", U"here's", U"what's",
      U"who's", U"let's",  U"where's", U"how's", U"when's",  U"this's"};
  const auto ends = [&](TextView ending) { return TextView(word).ends_with(ending); };
  return std::any_of(kEndings.begin(), kEndings.end(), ends) ||
         std::find(kWithS.begin(), kWithS.end(), word) != kWithS.end();
}

using WordTest = bool (*)(const Text&);

// Verdict on whether a word of some kind occurs, or on whether none does.
RuleVerdict check_words(TextView reply, WordTest is_kind, std::string_view kind, bool wants_some) {
  const std::vector<Text> words = plain_words(reply);
  const auto found = std::find_if(words.begin(), words.end(), is_kind);
  const bool is_there = found != words.end();
  return verdict(is_there == wants_some,
                 fmt::format("found {}, expected {} {}",
                             is_there ? quoted(*found) : fmt::format("no {}", kind),
                             wants_some ? "a" : "no", kind));
}

RuleVerdict check_first_person(const Rule&, TextView reply) {
  return check_words(reply, is_first_person, "first-person pronoun", true);
}

RuleVerdict check_no_first_person(const Rule&, TextView reply) {
  return check_words(reply, is_first_person, "first-person pronoun", false);
}

RuleVerdict check_contractions(const Rule&, TextView reply) {
  return check_words(reply, is_contraction, "contraction", true);
}

RuleVerdict check_no_contractions(const Rule&, TextView reply) {
  return check_words(reply, is_contraction, "contraction", false);
}

bool is_exclamation(char32_t c) { return c == U'!' || c == U'！' || c == U'¡'; }

RuleVerdict check_characters(TextView reply, bool (*is_kind)(char32_t), std::string_view kind,
                             bool wants_some) {
  const auto n_found = std::count_if(reply.begin(), reply.end(), is_kind);
  return verdict((n_found > 0) == wants_some, fmt::format("found {} {}, expected {}", n_found, kind,
                                                          wants_some ? "at least one" : "none"));
}

RuleVerdict check_exclamation(const Rule&, TextView reply) {
  return check_characters(reply, is_exclamation, "exclamation marks", true);
}

RuleVerdict check_no_exclamation(const Rule&, TextView reply) {
  return check_characters(reply, is_exclamation, "exclamation marks", false);
}

RuleVerdict check_emoji(const Rule&, TextView reply) {
  return check_characters(reply, is_emoji, "emoji", true);
}

RuleVerdict check_no_emoji(const Rule&, TextView reply) {
  return check_characters(reply, is_emoji, "emoji", false);
}

RuleVerdict check_all_caps(const Rule&, TextView reply) {
  return verdict(is_all_upper(reply),
                 is_all_upper(reply) ? "found capitals only"
                                     : "found small letters, or no letters; expected capitals");
}

RuleVerdict check_all_lowercase(const Rule&, TextView reply) {
  return verdict(is_all_lower(reply),
                 is_all_lower(reply) ? "found small letters only"
                                     : "found capitals, or no letters; expected small letters");
}

RuleVerdict check_question_end(const Rule&, TextView reply) {
  const size_t last = reply.find_last_not_of(U"\"'”’»)]*_ \t\r\n");
  const TextView end = last == TextView::npos ? TextView() : reply.substr(last, 1);
  const bool has_passed = end == U"?" || end == U"？" || end == U"؟";
  return verdict(has_passed, fmt::format("found {} last, expected a question mark", quoted(end)));
}

}  // namespace

std::vector<RuleSpec> own_style_rules() {
  return {
      {"ebb:all_caps", "Every letter is a capital.", {}, check_all_caps},
      {"ebb:all_lowercase", "Every letter is small.", {}, check_all_lowercase},
      {"ebb:exclamation", "There is an exclamation mark.", {}, check_exclamation},
      {"ebb:no_exclamation", "There is no exclamation mark.", {}, check_no_exclamation},
      {"ebb:first_person", "There is an English first-person pronoun.", {}, check_first_person},
      {"ebb:no_first_person",
       "There is no English first-person pronoun.",
       {},
       check_no_first_person},
      {"ebb:contractions", "There is an English contraction.", {}, check_contractions},
      {"ebb:no_contractions", "There is no English contraction.", {}, check_no_contractions},
      {"ebb:question_end", "The reply ends with a question mark.", {}, check_question_end},
      {"ebb:emoji", "There is an emoji.", {}, check_emoji},
      {"ebb:no_emoji", "There is no emoji.", {}, check_no_emoji},
  };
}

}  // namespace ebb::eval
