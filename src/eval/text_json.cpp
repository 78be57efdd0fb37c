#include "eval/text_json.h"

#include <vector>

namespace ebb::eval {
namespace {

bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

bool is_hex_digit(char32_t c) {
  return is_ascii_digit(c) || (c >= U'a' && c <= U'f') || (c >= U'A' && c <= U'F');
}

// Walks over the text once; open brackets are kept in a list, so depth costs no stack.
class Scanner {
 public:
  explicit Scanner(TextView text) : text_(text) {}

  bool is_one_value() {
    skip_space();
    do {
      if (!value_start()) {
        return false;
      }
      while (!expects_value_ && !open_.empty()) {
        if (!after_value()) {
          return false;
        }
      }
    } while (expects_value_);
    skip_space();
    return at_ == text_.size();
  }

 private:
  char32_t peek() const { return at_ < text_.size() ? text_[at_] : U'\0'; }

  bool take(TextView expected) {
    if (text_.substr(at_, expected.size()) != expected) {
      return false;
    }
    at_ += expected.size();
    return true;
  }

  void skip_space() {
    while (at_ < text_.size() && TextView(U" \t\n\r").find(text_[at_]) != TextView::npos) {
      ++at_;
    }
  }

  // A scalar, an empty container, or the opening of one whose first value comes next.
  bool value_start() {
    expects_value_ = false;
    const char32_t c = peek();
    if (c != U'[' && c != U'{') {
      return scalar();
    }
    const char32_t closing = c == U'[' ? U']' : U'}';
    ++at_;
    skip_space();
    if (peek() == closing) {
      ++at_;
      return true;
    }
    open_.push_back(closing);
    expects_value_ = true;
    return closing == U']' || key();
  }

  // After a value inside a container: the next member or the end of the container.
  bool after_value() {
    skip_space();
    if (take(U",")) {
      skip_space();
      expects_value_ = true;
      return open_.back() == U']' || key();
    }
    if (peek() != open_.back() || at_ == text_.size()) {
      return false;
    }
    ++at_;
    open_.pop_back();
    return true;
  }

  bool key() {
    if (!string()) {
      return false;
    }
    skip_space();
    if (!take(U":")) {
      return false;
    }
    skip_space();
    return true;
  }

  bool scalar() {
    if (peek() == U'"') {
      return string();
    }
    for (const TextView word : {TextView(U"true"), TextView(U"false"), TextView(U"null"),
                                TextView(U"NaN"), TextView(U"Infinity"), TextView(U"-Infinity")}) {
      if (take(word)) {
        return true;
      }
    }
    return number();
  }

  bool digits() {
    const size_t start = at_;
    while (is_ascii_digit(peek())) {
      ++at_;
    }
    return at_ > start;
  }

  bool number() {
    take(U"-");
    if (!take(U"0") && !digits()) {
      return false;
    }
    const size_t integer_end = at_;
    if (take(U".") && !digits()) {
      at_ = integer_end;  // "1." is the number 1 and a rest that nothing can follow
      return true;
    }
    const size_t mantissa_end = at_;
    if (take(U"e") || take(U"E")) {
      if (!take(U"+")) {
        take(U"-");
      }
      if (!digits()) {
        at_ = mantissa_end;
      }
    }
    return true;
  }

  bool string() {
    if (!take(U"\"")) {
      return false;
    }
    while (at_ < text_.size()) {
      const char32_t c = text_[at_++];
      if (c == U'"') {
        return true;
      }
      if (c < 0x20 || (c == U'\\' && !escape())) {
        return false;
      }
    }
    return false;
  }

  bool escape() {
    if (!take(U"u")) {
      const bool is_known = TextView(U"\"\\/bfnrt").find(peek()) != TextView::npos;
      ++at_;
      return is_known;
    }
    for (int i = 0; i < 4; ++i, ++at_) {
      if (!is_hex_digit(peek())) {
        return false;
      }
    }
    return true;
  }

  TextView text_;
  size_t at_ = 0;
  std::vector<char32_t> open_;
  bool expects_value_ = false;
};

TextView without_fence(TextView reply) {
  TextView text = strip(reply);
  for (const TextView opening :
       {TextView(U"```json"), TextView(U"```Json"), TextView(U"```JSON"), TextView(U"```")}) {
    if (text.starts_with(opening)) {
      text.remove_prefix(opening.size());
    }
  }
  if (text.ends_with(U"```")) {
    text.remove_suffix(3);
  }
  return strip(text);
}

}  // namespace

bool is_json(TextView text) { return Scanner(text).is_one_value(); }

bool is_fenced_json(TextView reply) { return is_json(without_fence(reply)); }

}  // namespace ebb::eval
