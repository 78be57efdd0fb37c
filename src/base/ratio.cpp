#include "base/ratio.h"

#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace ebb {
namespace {

Error bad_ratio(std::string_view text) {
  return Error::make(ErrorKind::kUsage,
                     "'{}' is not a ratio: expected a decimal number from 0 to 1, such as 0.5",
                     text);
}

constexpr int kMaxDigits = 18;

struct Decimal {
  int64_t digits = 0;  // value = digits / 10^scale
  int scale = 0;
};

// Digits with at most one point; no sign (a ratio is never negative).
std::optional<Decimal> parse_digits(std::string_view text) {
  Decimal out;
  int n_digits = 0;
  bool has_point = false;
  for (const char c : text) {
    if (c == '.' && !has_point) {
      has_point = true;
      continue;
    }
    if (c < '0' || c > '9' || ++n_digits > kMaxDigits) return std::nullopt;
    out.digits = out.digits * 10 + (c - '0');
    out.scale += has_point ? 1 : 0;
  }
  if (n_digits == 0) return std::nullopt;
  return out;
}

}  // namespace

Ratio Ratio::parse(std::string_view text) {
  Ratio out;
  out.text_ = std::string(text);
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const auto top = parse_digits(text.substr(0, slash));
    const auto bottom = parse_digits(text.substr(slash + 1));
    if (!top || !bottom || top->scale != 0 || bottom->scale != 0 || bottom->digits == 0)
      throw bad_ratio(text);
    out.numerator_ = top->digits;
    out.denominator_ = bottom->digits;
  } else {
    std::string_view mantissa = text;
    int exponent = 0;
    if (const size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
      mantissa = text.substr(0, e);
      std::string_view digits = text.substr(e + 1);
      if (!digits.empty() && digits.front() == '+') digits.remove_prefix(1);
      const auto [end, status] =
          std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
      if (status != std::errc{} || end != digits.data() + digits.size()) throw bad_ratio(text);
    }
    const auto decimal = parse_digits(mantissa);
    if (!decimal) throw bad_ratio(text);
    const int scale = decimal->scale - exponent;
    if (decimal->digits == 0) return out;
    if (scale < 0 || scale > kMaxDigits) throw bad_ratio(text);
    int64_t power = 1;
    for (int i = 0; i < scale; ++i) power *= 10;
    out.numerator_ = decimal->digits;
    out.denominator_ = power;
  }
  if (out.numerator_ > out.denominator_) throw bad_ratio(text);
  const int64_t divisor = std::gcd(out.numerator_, out.denominator_);
  out.numerator_ /= divisor;
  out.denominator_ /= divisor;
  return out;
}

Ratio Ratio::from_double(double value) {
  if (!std::isfinite(value) || value < 0.0 || value > 1.0)
    throw bad_ratio(fmt::format("{}", value));
  return parse(fmt::format("{}", value));  // fmt prints the shortest decimal that round-trips
}

int64_t Ratio::floor_of(int64_t n) const {
  EBB_CHECK(n >= 0);
  __extension__ using Wide = __int128;
  return static_cast<int64_t>(static_cast<Wide>(n) * numerator_ / denominator_);
}

}  // namespace ebb
