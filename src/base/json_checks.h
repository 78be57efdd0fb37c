// JSON of strangers, read more strictly than the library reads it: it turns any number into any
// other, and takes a NUL for the end of a text. Header only, for the folders that use the library.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

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

// No JSON text has one; the library would not see what comes behind it.
inline bool holds_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace ebb
