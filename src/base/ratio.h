// An exact fraction of cells. A binary double cannot hold 0.29, and floor(100 * 0.29) is 28 in
// doubles; budgets must not depend on that, so a rate is kept as the decimal that the user wrote.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ebb {

class Ratio {
 public:
  Ratio() = default;  // 0

  // From decimal text such as "0.5", "1", ".29", "5e-1" or "1/3".  Throws: kUsage for anything that
  // is not a finite number in [0, 1], or has more than 18 digits.
  static Ratio parse(std::string_view text);
  // From a double by its shortest decimal form, so that 0.29 means 29/100.  Throws: as parse.
  static Ratio from_double(double value);

  // floor(n * ratio), exactly.
  int64_t floor_of(int64_t n) const;
  double to_double() const {
    return static_cast<double>(numerator_) / static_cast<double>(denominator_);
  }
  std::string text() const { return text_; }  // as written, for records

  int64_t numerator() const { return numerator_; }
  int64_t denominator() const { return denominator_; }

 private:
  int64_t numerator_ = 0;
  int64_t denominator_ = 1;
  std::string text_ = "0";
};

}  // namespace ebb
