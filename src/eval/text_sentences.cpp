#include "eval/text_sentences.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace ebb::eval {
namespace {

constexpr TextView kEnders = U".?!";
constexpr TextView kNonWord = U")\";}]*:@'({[‘’“”«»?!";  // cannot stand inside a word
constexpr TextView kNoWordStart = U"(\"`{[:;&#*@)}]-,";  // cannot begin one
constexpr TextView kClosers = U"\"')]}‘’“”«»";           // belong to the sentence they follow
constexpr TextView kAsciiSpace = U" \t\n\r\v\f";

bool is_in(char32_t c, TextView set) { return set.find(c) != TextView::npos; }

size_t run_of(TextView text, size_t i, char32_t c) {
  return std::min(text.find_first_not_of(c, i), text.size()) - i;
}

// Length of an ellipsis ("..", ". . .") or a dash ("--") at `i`; 0 where there is none.
size_t multi_mark_at(TextView text, size_t i) {
  for (const char32_t c : {U'-', U'.'}) {
    const size_t n = run_of(text, i, c);
    if (n >= 2) {
      return n;
    }
  }
  size_t end = i;
  while (end + 1 < text.size() && text[end] == U'.' && is_space(text[end + 1])) {
    end += 2;
  }
  const size_t n_spaced = (end - i) / 2;
  if (end < text.size() && text[end] == U'.' && n_spaced >= 2) {
    return end + 1 - i;
  }
  return n_spaced >= 3 ? end - 1 - i : 0;
}

bool ends_word(TextView text, size_t i) {
  return i >= text.size() || is_space(text[i]) || is_in(text[i], kNonWord) ||
         multi_mark_at(text, i) > 0;
}

// A token with what the type of its characters says about it.
struct Token {
  explicit Token(TextView token) : text(token), type(to_lower(token)) {
    is_number = looks_numeric();
    is_initial = text.size() == 2 && is_word(text[0]) && !is_digit(text[0]) && text[1] == U'.';
    is_ellipsis = text.size() >= 2 && text.find_first_not_of(U'.') == TextView::npos;
    if (text.size() == 1 && is_in(text[0], kEnders)) {
      breaks = true;
    } else if (has_stop() && !is_ellipsis && !text.ends_with(U"..")) {
      is_abbreviated = knows_abbreviation(TextView(type).substr(0, type.size() - 1));
      breaks = !is_abbreviated;
    }
  }

  bool has_stop() const { return text.ends_with(U'.'); }

  // The word by which it is looked up: the stop that ends a sentence is not part of it.
  TextView word() const {
    const TextView whole = type;
    return breaks && whole.size() > 1 && whole.ends_with(U'.') ? whole.substr(0, whole.size() - 1)
                                                               : whole;
  }

  TextView text;
  Text type;
  bool is_number = false;
  bool is_initial = false;
  bool is_ellipsis = false;
  bool is_abbreviated = false;
  bool breaks = false;

 private:
  static bool knows_abbreviation(TextView word) {
    const size_t hyphen = word.rfind(U'-');
    return is_abbreviation(word) ||
           (hyphen != TextView::npos && is_abbreviation(word.substr(hyphen + 1)));
  }

  // -12, .5, 1,000.25 and 3. but not 3a.
  bool looks_numeric() const {
    size_t i = text.starts_with(U'-') ? 1 : 0;
    i += i < text.size() && is_in(text[i], U".,") ? 1 : 0;
    return i < text.size() && is_digit(text[i]) &&
           std::all_of(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(),
                       [](char32_t c) { return is_digit(c) || is_in(c, U",.-"); });
  }
};

size_t token_length(TextView line, size_t i) {
  if (const size_t n_mark = multi_mark_at(line, i); n_mark > 0) {
    return n_mark;
  }
  if (is_in(line[i], kNoWordStart)) {
    return 1;
  }
  size_t end = i + 1;
  while (!ends_word(line, end) && !(line[end] == U',' && ends_word(line, end + 1))) {
    ++end;
  }
  return end - i;
}

std::vector<Token> tokenize(TextView text) {
  std::vector<Token> tokens;
  for (const TextView line : split(text, U"\n")) {
    for (size_t i = 0; i < line.size();) {
      if (is_space(line[i])) {
        ++i;
        continue;
      }
      const size_t length = token_length(line, i);
      tokens.emplace_back(line.substr(i, length));
      i += length;
    }
  }
  return tokens;
}

// Does the way a token is written say that it begins a sentence? Empty: it says nothing.
std::optional<bool> looks_like_start(const Token& token) {
  if (token.text.size() == 1 && is_in(token.text[0], U";:,.!?")) {
    return false;
  }
  if (is_upper(token.text[0]) && is_common_word(token.word()) && !is_also_a_name(token.word())) {
    return true;
  }
  if (is_lower(token.text[0])) {
    return false;
  }
  return std::nullopt;
}

// Section 4.2 and 4.3: may revise what the type of `first` said, in view of the token after it.
bool breaks_before(const Token& first, const Token& next) {
  if (!first.has_stop()) {
    return first.breaks;
  }
  const std::optional<bool> is_start = looks_like_start(next);
  const bool starts_upper = is_upper(next.text[0]);
  if ((first.is_abbreviated || first.is_ellipsis) && !first.is_initial) {
    if (is_start == true || (starts_upper && is_sentence_starter(next.word()))) {
      return true;
    }
  }
  if (first.is_initial || first.is_number) {
    const bool is_name = !is_start && first.is_initial && starts_upper;
    if (is_start == false || (is_name && !is_common_word(next.word()))) {
      return false;
    }
  }
  return first.breaks;
}

bool has_break_inside(TextView context) {
  const std::vector<Token> tokens = tokenize(context);
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (breaks_before(tokens[i], tokens[i + 1])) {
      return true;
    }
  }
  return false;
}

// A character that may end a sentence, with the word before it and what follows.
struct Candidate {
  size_t word_start;
  size_t at;
  size_t next_start;   // where the next sentence would begin
  size_t context_end;  // after the following token
};

std::optional<Candidate> candidate_at(TextView text, size_t i) {
  if (!is_in(text[i], kEnders) || i + 1 >= text.size()) {
    return std::nullopt;
  }
  if (is_in(text[i + 1], kNonWord)) {
    return Candidate{0, i, i + 1, i + 2};
  }
  size_t next = i + 1;
  while (next < text.size() && is_space(text[next])) {
    ++next;
  }
  if (next == i + 1 || next == text.size()) {
    return std::nullopt;
  }
  size_t end = next;
  while (end < text.size() && !is_space(text[end])) {
    ++end;
  }
  return Candidate{0, i, next, end};
}

// Candidates; of several in one word ("what?!") only the last.
std::vector<Candidate> find_candidates(TextView text) {
  std::vector<Candidate> found;
  for (size_t i = 0; i < text.size(); ++i) {
    std::optional<Candidate> candidate = candidate_at(text, i);
    if (!candidate) {
      continue;
    }
    const size_t after = found.empty() ? 0 : found.back().at;
    const size_t space = text.substr(after, i - after).find_last_of(kAsciiSpace);
    const bool is_new_word = space != TextView::npos && space > 0;
    candidate->word_start =
        is_new_word ? after + space + 1 : (found.empty() ? 0 : found.back().word_start);
    if (!found.empty() && found.back().at > candidate->word_start) {
      found.pop_back();
    }
    found.push_back(*candidate);
  }
  return found;
}

using Span = std::pair<size_t, size_t>;

std::vector<Span> cut_at_breaks(TextView text) {
  std::vector<Span> spans;
  size_t start = 0;
  for (const Candidate& candidate : find_candidates(text)) {
    const size_t length = candidate.context_end - candidate.word_start;
    if (has_break_inside(text.substr(candidate.word_start, length))) {
      spans.emplace_back(start, candidate.at + 1);
      start = candidate.next_start;
    }
  }
  size_t end = text.size();
  while (end > start && is_space(text[end - 1])) {
    --end;
  }
  spans.emplace_back(start, end);
  return spans;
}

// How many closing quotes and brackets begin `text` and end there: before space, dash or the end.
size_t closing_marks(TextView text) {
  for (size_t i = 0; i < text.size() && is_in(text[i], kClosers); ++i) {
    const size_t end = i + 1;
    if (end == text.size() || is_space(text[end]) || text.substr(end, 2) == U"--") {
      return end;
    }
  }
  return 0;
}

}  // namespace

std::vector<TextView> split_sentences(TextView text) {
  const std::vector<Span> spans = cut_at_breaks(text);
  std::vector<TextView> sentences;
  size_t n_taken = 0;  // characters at the start of this span that went to the one before
  for (size_t i = 0; i < spans.size(); ++i) {
    const size_t start = std::min(spans[i].first + n_taken, spans[i].second);
    n_taken = 0;
    size_t end = spans[i].second;
    if (i + 1 < spans.size()) {
      const auto [next_start, next_end] = spans[i + 1];
      const TextView next = text.substr(next_start, next_end - next_start);
      const size_t n_marks = closing_marks(next);
      if (n_marks > 0) {
        end = next_start + n_marks;
        n_taken = n_marks;
        while (n_taken < next.size() && is_space(next[n_taken])) {
          ++n_taken;
        }
      }
    }
    if (end > start) {
      sentences.push_back(text.substr(start, end - start));
    }
  }
  return sentences;
}

}  // namespace ebb::eval
