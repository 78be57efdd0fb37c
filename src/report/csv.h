// Comma-separated text by RFC 4180, and numbers as text that read back as the same bits.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stats/checks.h"

namespace ebb::report {

// The shortest decimal text that reads back as the same number.
std::string number_text(double value);
std::string number_text(std::optional<double> value);  // "" where absent
template <std::integral T>
std::string number_text(T value) {
  return std::to_string(value);
}

// The ends of an interval; "" where there is none.
std::string low_text(const std::optional<stats::Interval>& interval);
std::string high_text(const std::optional<stats::Interval>& interval);

// Builds one file: a header, then rows of as many fields. Lines end with \n. What is not UTF-8, and
// NUL, becomes U+FFFD.
class Csv {
 public:
  explicit Csv(std::vector<std::string_view> header);
  // Throws: kInternal for another number of fields.
  void add(const std::vector<std::string>& fields);
  const std::string& text() const { return text_; }

 private:
  size_t n_columns_;
  std::string text_;
};

}  // namespace ebb::report
