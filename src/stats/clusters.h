// Points grouped by the conversation they belong to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ebb::stats {

// Places of the points of each cluster, clusters in order of their number.
// Throws: kInternal when sizes differ, there is no point, or a value is not finite.
std::vector<std::vector<size_t>> group_points(std::span<const double> x, std::span<const double> y,
                                              std::span<const uint32_t> cluster,
                                              std::string_view where);

}  // namespace ebb::stats
