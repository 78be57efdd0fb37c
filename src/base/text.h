// Small text helpers: nearest name for "did you mean", edit distance, well-formed UTF-8.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebb {

// Levenshtein distance in bytes.  Cost: O(a * b).
size_t edit_distance(std::string_view a, std::string_view b);

// The known name nearest to `name`, or "" where none is near enough to be a plausible typing error.
std::string nearest_name(std::string_view name, std::span<const std::string> known);

// " (did you mean 'x'?)" or "": ready to append to an error message.
std::string did_you_mean(std::string_view name, std::span<const std::string> known);

// Bytes of `text` before the first that is not part of a well-formed UTF-8 character.
size_t well_formed_bytes(std::string_view text);

// Text that any reader takes: every byte that is no part of a well-formed UTF-8 character, and
// every NUL, becomes U+FFFD. Models can write single bytes, and a length limit can cut a character.
std::string readable_utf8(std::string_view text);

}  // namespace ebb
