// JSON of strangers, read more strictly than the library reads it: it turns any number into any
// other, and takes a NUL for the end of a text. Header only, for the folders that use the library.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb {

// A whole number that the type can hold; nothing for anything else, 1.0 and 1e99 included.
template <typename Int, typename Json>
std::optional<Int> integer_of(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto n = value.template get<uint64_t>();
    return std::in_range<Int>(n) ? std::optional<Int>(static_cast<Int>(n)) : std::nullopt;
  }
  if (!value.is_number_integer()) return std::nullopt;
  const auto n = value.template get<int64_t>();
  return std::in_range<Int>(n) ? std::optional<Int>(static_cast<Int>(n)) : std::nullopt;
}

// An array of such numbers; nothing for anything else.
template <typename Int, typename Json>
std::optional<std::vector<Int>> integers_of(const Json& array) {
  if (!array.is_array()) return std::nullopt;
  std::vector<Int> out;
  for (const Json& value : array) {
    const auto n = integer_of<Int>(value);
    if (!n) return std::nullopt;
    out.push_back(*n);
  }
  return out;
}

// No JSON text has one; the library would not see what comes behind it.
inline bool holds_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace ebb
