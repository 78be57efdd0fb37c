#include "stats/clusters.h"

#include <map>

#include "stats/checks.h"

namespace ebb::stats {

std::vector<std::vector<size_t>> group_points(std::span<const double> x, std::span<const double> y,
                                              std::span<const uint32_t> cluster,
                                              std::string_view where) {
  require_same_size(x.size(), y.size(), where);
  require_same_size(x.size(), cluster.size(), where);
  require_at_least(x.size(), 1, where);
  require_finite(x, where);
  require_finite(y, where);
  std::map<uint32_t, std::vector<size_t>> by_number;
  for (size_t i = 0; i < cluster.size(); ++i) by_number[cluster[i]].push_back(i);
  std::vector<std::vector<size_t>> out;
  for (auto& [number, points] : by_number) out.push_back(std::move(points));
  return out;
}

}  // namespace ebb::stats
