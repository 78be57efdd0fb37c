// A search pattern in Python's regular-expression syntax, with Python's meaning of \w, \s, \b and
// of "ignore case". Keyword rules of public data sets are such patterns, mostly plain words.
// Runs on ICU's engine with a time limit, so that no pattern from a file can hang a study.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "eval/text_unicode.h"

namespace ebb::eval {

enum class CaseRule { kExact, kIgnore };

class Pattern {
 public:
  // Throws: kBadData where the pattern is no regular expression.
  Pattern(TextView pattern, CaseRule rule);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  bool is_found_in(TextView text) const { return count_in(text, 1) > 0; }

  // Matches that do not overlap, from the left; stops at `n_max`.  Throws: kBadData when a search
  // takes too long.
  size_t count_in(TextView text, size_t n_max = static_cast<size_t>(-1)) const;

  size_t n_groups() const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace ebb::eval
