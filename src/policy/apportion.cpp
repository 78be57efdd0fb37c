// Largest-remainder sharing of whole cells, in integers throughout so that no share depends on
// rounding.
#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "policy/selection.h"

namespace ebb::policy {
namespace {

__extension__ using Wide = __int128;

struct Share {
  int64_t floor = 0;
  int64_t remainder = 0;
};

// A sum of weights of 0 shares equally.
Share share_of(int64_t total, int64_t weight, int64_t weight_sum, int64_t n_open) {
  if (weight_sum == 0) return {total / n_open, total % n_open};
  const Wide product = static_cast<Wide>(total) * weight;
  return {static_cast<int64_t>(product / weight_sum), static_cast<int64_t>(product % weight_sum)};
}

// Adds or takes single cells until `out` adds up, in `order`; bounds allow it somewhere.
void even_out(int64_t total, std::span<const size_t> order, std::span<const int64_t> lower,
              std::span<const int64_t> upper, std::vector<int64_t>& out) {
  int64_t missing = total - std::accumulate(out.begin(), out.end(), int64_t{0});
  for (size_t k = 0; missing > 0; k = (k + 1) % order.size()) {
    if (out[order[k]] < upper[order[k]]) {
      ++out[order[k]];
      --missing;
    }
  }
  for (size_t k = order.size() - 1; missing < 0; k = (k == 0 ? order.size() : k) - 1) {
    if (out[order[k]] > lower[order[k]]) {
      --out[order[k]];
      ++missing;
    }
  }
}

struct Split {
  int64_t left = 0;          // to share among the open entries
  std::vector<size_t> open;  // entries whose share breaks no bound
};

// Gives entries whose share breaks a bound that bound, until none does. The side that is broken by
// more goes first, so that what it frees or takes is known before the other side is fixed.
Split fix_at_bounds(int64_t total, std::span<const int64_t> weights, std::span<const int64_t> lower,
                    std::span<const int64_t> upper, std::vector<int64_t>& out) {
  Split split{.left = total, .open = std::vector<size_t>(weights.size())};
  std::iota(split.open.begin(), split.open.end(), size_t{0});
  while (!split.open.empty()) {
    int64_t weight_sum = 0;
    for (const size_t i : split.open) weight_sum += weights[i];
    const int64_t pool = std::max<int64_t>(0, split.left);
    const auto n_open = static_cast<int64_t>(split.open.size());
    const auto share = [&](size_t i) {
      return share_of(pool, weights[i], weight_sum, n_open).floor;
    };
    int64_t too_low = 0;
    int64_t too_high = 0;
    for (const size_t i : split.open) {
      too_low += std::max<int64_t>(0, lower[i] - share(i));
      too_high += std::max<int64_t>(0, share(i) - upper[i]);
    }
    if (too_low == 0 && too_high == 0) break;
    std::erase_if(split.open, [&](size_t i) {
      const bool is_fixed = too_low >= too_high ? share(i) < lower[i] : share(i) > upper[i];
      if (!is_fixed) return false;
      out[i] = too_low >= too_high ? lower[i] : upper[i];
      split.left -= out[i];
      return true;
    });
  }
  return split;
}

}  // namespace

std::vector<int64_t> apportion(int64_t total, std::span<const int64_t> weights,
                               std::span<const int64_t> lower, std::span<const int64_t> upper) {
  const size_t n = weights.size();
  EBB_CHECK(lower.size() == n && upper.size() == n);
  if (n == 0) return {};
  const int64_t low_sum = std::accumulate(lower.begin(), lower.end(), int64_t{0});
  const int64_t high_sum = std::accumulate(upper.begin(), upper.end(), int64_t{0});
  EBB_CHECK(low_sum <= high_sum);
  const int64_t goal = std::clamp(total, low_sum, high_sum);

  std::vector<int64_t> out(n, 0);
  const Split split = fix_at_bounds(goal, weights, lower, upper, out);
  int64_t weight_sum = 0;
  for (const size_t i : split.open) weight_sum += weights[i];
  std::vector<int64_t> remainder(n, -1);  // entries at a bound come last
  for (const size_t i : split.open) {
    const Share share = share_of(std::max<int64_t>(0, split.left), weights[i], weight_sum,
                                 static_cast<int64_t>(split.open.size()));
    out[i] = share.floor;
    remainder[i] = share.remainder;
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return remainder[a] != remainder[b] ? remainder[a] > remainder[b] : a > b;
  });
  even_out(goal, order, lower, upper, out);
  return out;
}

}  // namespace ebb::policy
