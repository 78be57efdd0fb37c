#include "eval/text_pattern.h"

#include <unicode/regex.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace ebb::eval {
namespace {

// Steps of ICU's matcher, each some thousands of operations: about a second.
constexpr int32_t kTimeLimit = 2000;

constexpr TextView kWord = U"\\p{L}\\p{N}_";
constexpr TextView kSpace = U"\\t-\\r\\u001c-\\u0020\\u0085\\p{Z}";

// Rewrites a pattern from Python's dialect into ICU's.
class Translator {
 public:
  Translator(TextView pattern, CaseRule rule) : in_(pattern), rule_(rule) {}

  Text run() {
    while (at_ < in_.size()) {
      step();
    }
    return std::move(out_);
  }

 private:
  void step() {
    const char32_t c = in_[at_++];
    if (c == U'\\' && at_ < in_.size()) {
      escape(in_[at_++]);
    } else if (in_set_) {
      set_member(c);
    } else if (c == U'[') {
      open_set();
    } else if (c == U'{') {
      brace();
    } else if (c == U'}' || c == U']') {
      literal(c);
    } else if (c == U'(' && in_.substr(at_, 2) == U"?P") {
      named_group();
    } else {
      out_ += fold(c);
    }
  }

  char32_t fold(char32_t c) const { return rule_ == CaseRule::kIgnore ? fold_case(c) : c; }

  void literal(char32_t c) {
    out_ += U'\\';
    out_ += c;
  }

  void open_set() {
    out_ += U'[';
    in_set_ = true;
    if (at_ < in_.size() && in_[at_] == U'^') {
      out_ += in_[at_++];
    }
    // A ']' right after the opening is a member.
    if (at_ < in_.size() && in_[at_] == U']') {
      literal(in_[at_++]);
    }
  }

  void set_member(char32_t c) {
    if (c == U']') {
      in_set_ = false;
      out_ += c;
    } else if (c == U'[' || c == U'&' || c == U'{' || c == U'}' || c == U'$') {
      literal(c);  // operators of ICU's sets, plain characters in Python's
    } else {
      out_ += fold(c);
    }
  }

  // A brace that does not form {n}, {n,} {,m} or {n,m} stands for itself.
  void brace() {
    size_t i = at_;
    bool has_comma = false;
    size_t n_digits = 0;
    for (; i < in_.size() && (in_[i] == U',' || (in_[i] >= U'0' && in_[i] <= U'9')); ++i) {
      if (in_[i] == U',' && has_comma) {
        break;
      }
      has_comma = has_comma || in_[i] == U',';
      n_digits += in_[i] == U',' ? 0 : 1;
    }
    if (i >= in_.size() || in_[i] != U'}' || n_digits == 0) {
      literal(U'{');
      return;
    }
    out_ += in_[at_] == U',' ? U"{0" : U"{";
    out_ += in_.substr(at_, i - at_ + 1);
    at_ = i + 1;
  }

  void named_group() {
    at_ += 2;
    if (at_ < in_.size() && in_[at_] == U'=') {
      const size_t end = std::min(in_.find(U')', at_), in_.size() - 1);
      out_ += U"\\k<";
      out_ += in_.substr(at_ + 1, end - at_ - 1);
      out_ += U'>';
      at_ = end + 1;
    } else {
      out_ += U"(?";
    }
  }

  void escape(char32_t c) {
    switch (c) {
      case U'w':
        return character_class(kWord, U"[");
      case U'W':
        return character_class(kWord, U"[^");
      case U's':
        return character_class(kSpace, U"[");
      case U'S':
        return character_class(kSpace, U"[^");
      case U'b':
        return in_set_ ? void(out_ += U"\\u0008") : boundary(U"(?:(?<=", U")(?!", U"(?=");
      case U'B':
        return boundary(U"(?:(?<=", U")(?=", U"(?!");
      case U'Z':
        out_ += U"\\z";
        return;
      default:
        literal(c);
    }
  }

  void character_class(TextView members, TextView opening) {
    out_ += opening;
    out_ += members;
    out_ += U']';
  }

  // Between a word character and none, as \w is defined here: ICU's \b skips combining marks.
  void boundary(TextView behind, TextView ahead, TextView other) {
    const Text word = U"[" + Text(kWord) + U"]";
    out_ += Text(behind) + word + Text(ahead) + word + U")|(?<!" + word + U")" + Text(other) +
            word + U"))";
  }

  TextView in_;
  CaseRule rule_;
  Text out_;
  size_t at_ = 0;
  bool in_set_ = false;
};

icu::UnicodeString to_units(TextView text) {
  return icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()),
                                       static_cast<int32_t>(text.size()));
}

}  // namespace

struct Pattern::Compiled {
  std::unique_ptr<icu::RegexPattern> regex;
  std::string source;
  CaseRule rule = CaseRule::kExact;
};

Pattern::Pattern(TextView pattern, CaseRule rule) : compiled_(std::make_unique<Compiled>()) {
  compiled_->source = encode_utf8(pattern);
  compiled_->rule = rule;
  UErrorCode status = U_ZERO_ERROR;
  UParseError where{};
  const icu::UnicodeString units = to_units(Translator(pattern, rule).run());
  const uint32_t flags = UREGEX_UNIX_LINES;
  compiled_->regex.reset(icu::RegexPattern::compile(units, flags, where, status));
  if (U_FAILURE(status)) {
    throw Error::make(ErrorKind::kBadData,
                      "pattern '{}': found no valid regular expression ({}), expected one; put a "
                      "backslash before characters such as ( ) [ * + ? that are meant literally",
                      compiled_->source, u_errorName(status));
  }
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

size_t Pattern::n_groups() const {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::RegexMatcher> matcher(compiled_->regex->matcher(status));
  return U_SUCCESS(status) ? static_cast<size_t>(matcher->groupCount()) : 0;
}

size_t Pattern::count_in(TextView text, size_t n_max) const {
  Text folded(text);
  if (compiled_->rule == CaseRule::kIgnore) {
    std::transform(folded.begin(), folded.end(), folded.begin(), fold_case);
  }
  const icu::UnicodeString units = to_units(folded);
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::RegexMatcher> matcher(compiled_->regex->matcher(units, status));
  if (U_SUCCESS(status)) {
    matcher->setTimeLimit(kTimeLimit, status);
  }
  size_t n_found = 0;
  while (U_SUCCESS(status) && n_found < n_max && matcher->find(status)) {
    ++n_found;
  }
  if (U_FAILURE(status)) {
    throw Error::make(ErrorKind::kBadData,
                      "pattern '{}': the search did not end ({}), expected a simpler pattern",
                      compiled_->source, u_errorName(status));
  }
  return n_found;
}

}  // namespace ebb::eval
