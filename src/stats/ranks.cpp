#include "stats/ranks.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "stats/checks.h"

namespace ebb::stats {

Ranks average_ranks(std::span<const double> values) {
  Ranks out;
  out.of.resize(values.size());
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = real(begin + end + 1) / 2;
    for (size_t i = begin; i < end; ++i) out.of[order[i]] = rank;
    const double tied = real(end - begin);
    out.tie_cubes += tied * tied * tied - tied;
    out.has_ties = out.has_ties || end - begin > 1;
    begin = end;
  }
  return out;
}

}  // namespace ebb::stats
