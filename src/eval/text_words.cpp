#include "eval/text_words.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>

#include "eval/text_sentences.h"

namespace ebb::eval {
namespace {

constexpr TextView kAlwaysAlone = U"«»“”„‘’`;@#$%&?!*()[]{}<>\"\u2012\u2013\u2014\u2015";
constexpr TextView kClosers = U"])}>\"'»”’ ";
constexpr TextView kQuote = U"'";

// Clitics that may follow an opening quote without the quote being one.
constexpr std::array<TextView, 8> kClitics = {U"re", U"ve", U"ll", U"m", U"t", U"s", U"d", U"n"};

// Two words written as one; the number is the length of the first.
struct Fused {
  TextView word;
  size_t n_first;
};
constexpr std::array<Fused, 8> kFused = {{{U"cannot", 3},
                                          {U"d'ye", 1},
                                          {U"gimme", 3},
                                          {U"gonna", 3},
                                          {U"gotta", 3},
                                          {U"lemme", 3},
                                          {U"more'n", 4},
                                          {U"wanna", 3}}};

bool equals_ignoring_case(TextView text, TextView lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(),
                    [](char32_t a, char32_t b) { return fold_case(a) == b; });
}

// Annex C of Unicode's report 18 on regular expressions.
bool continues_word(char32_t c) {
  const auto point = static_cast<UChar32>(c);
  const uint32_t mask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_isUAlphabetic(point) || (U_GET_GC_MASK(point) & mask) != 0 ||
         u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL);
}

bool is_word_at(TextView text, size_t i) { return i < text.size() && is_word(text[i]); }

// A quote that opens a word rather than standing inside one or before a clitic.
bool is_opening_quote(TextView text, size_t i) {
  if (text[i] != U'\'' || (i > 0 && is_word(text[i - 1])) || !is_word_at(text, i + 1)) {
    return false;
  }
  return std::none_of(kClitics.begin(), kClitics.end(), [&](TextView clitic) {
    return equals_ignoring_case(text.substr(i + 1, clitic.size()), clitic) &&
           !is_word_at(text, i + 1 + clitic.size());
  });
}

// Where the full stop stands that ends the sentence, or npos.
size_t final_stop(TextView sentence) {
  size_t end = sentence.size();
  while (end > 0 &&
         (is_space(sentence[end - 1]) || kClosers.find(sentence[end - 1]) != TextView::npos)) {
    --end;
  }
  const bool is_stop = end > 1 && sentence[end - 1] == U'.' && sentence[end - 2] != U'.';
  return is_stop ? end - 1 : TextView::npos;
}

// How many characters at `i` form a token whatever surrounds them; 0: none.
size_t alone_at(TextView text, size_t i) {
  const char32_t c = text[i];
  if (kAlwaysAlone.find(c) != TextView::npos || is_opening_quote(text, i)) {
    return 1;
  }
  if (c == U'.') {
    const size_t end = std::min(text.find_first_not_of(U'.', i), text.size());
    return end - i >= 2 ? end - i : 0;
  }
  if (text.substr(i, 2) == U"--" || text.substr(i, 2) == U"''") {
    return 2;
  }
  if (c == U':' || c == U',') {
    return i + 1 == text.size() || !is_digit(text[i + 1]) ? 1 : 0;
  }
  const bool ends_word = i + 1 < text.size() && text[i + 1] == U' ';
  return c == U'\'' && i > 0 && text[i - 1] != U'\'' && ends_word ? 1 : 0;
}

// The sentence with a space on both sides of everything that stands alone.
Text pad_punctuation(TextView sentence) {
  const size_t stop = final_stop(sentence);
  Text padded;
  for (size_t i = 0; i < sentence.size();) {
    const size_t n_alone = i == stop ? 1 : alone_at(sentence, i);
    if (n_alone == 0) {
      padded += sentence[i++];
      continue;
    }
    padded += U' ';
    padded += sentence.substr(i, n_alone);
    padded += U' ';
    i += n_alone;
  }
  return padded;
}

// Cuts one of `endings` off the end of `word`, where something other than a quote is before it.
template <size_t n>
Text cut_ending(TextView& word, const std::array<TextView, n>& endings) {
  for (const TextView ending : endings) {
    if (word.ends_with(ending) && word.size() > ending.size() &&
        word[word.size() - ending.size() - 1] != U'\'') {
      Text cut(ending);
      word.remove_suffix(ending.size());
      return cut;
    }
  }
  return {};
}

void split_fused(TextView word, std::vector<Text>& tokens) {
  for (size_t i = 0; i < word.size(); ++i) {
    if (i > 0 && is_word(word[i - 1])) {
      continue;
    }
    for (const Fused& fused : kFused) {
      const size_t end = i + fused.word.size();
      if (equals_ignoring_case(word.substr(i, fused.word.size()), fused.word) &&
          !is_word_at(word, end)) {
        tokens.emplace_back(word.substr(0, i + fused.n_first));
        split_fused(word.substr(i + fused.n_first), tokens);
        return;
      }
    }
  }
  if (!word.empty()) {
    tokens.emplace_back(word);
  }
}

void split_clitics(TextView word, std::vector<Text>& tokens) {
  static constexpr std::array<TextView, 7> kShort = {U"'s", U"'S", U"'m", U"'M",
                                                     U"'d", U"'D", kQuote};
  static constexpr std::array<TextView, 8> kLong = {U"'ll", U"'LL", U"'re", U"'RE",
                                                    U"'ve", U"'VE", U"n't", U"N'T"};
  const Text last = cut_ending(word, kShort);
  const Text before_last = cut_ending(word, kLong);
  split_fused(word, tokens);
  for (const Text& ending : {before_last, last}) {
    if (!ending.empty()) {
      tokens.push_back(ending);
    }
  }
}

}  // namespace

size_t count_words(TextView text) {
  size_t n_words = 0;
  bool is_inside = false;
  for (const char32_t c : text) {
    n_words += continues_word(c) && !is_inside ? 1 : 0;
    is_inside = continues_word(c);
  }
  return n_words;
}

std::vector<Text> tokenize_words(TextView text) {
  std::vector<Text> tokens;
  for (const TextView sentence : split_sentences(text)) {
    const Text padded = pad_punctuation(sentence);
    for (const TextView word : split_words(padded)) {
      split_clitics(word, tokens);
    }
  }
  return tokens;
}

}  // namespace ebb::eval
