// Small text helpers: nearest name for "did you mean", edit distance.
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

}  // namespace ebb
