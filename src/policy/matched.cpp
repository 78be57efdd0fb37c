#include "policy/matched.h"

#include <algorithm>

#include "base/error.h"
#include "policy/catalogue.h"

namespace ebb::policy {
namespace {

// Cells of all heads at a budget.
int64_t cells_at(int64_t budget, int64_t window, const CacheShape& shape) {
  int64_t n = 0;
  for (size_t layer = 0; layer < static_cast<size_t>(shape.n_layers); ++layer) {
    const bool is_sliding = !shape.is_sliding.empty() && shape.is_sliding[layer];
    n += shape.n_kv_heads * (is_sliding ? std::min(budget, window) : budget);
  }
  return n;
}

}  // namespace

MatchedBudget match_lengths(std::span<const int64_t> logical_lengths, const Ratio& ratio) {
  if (logical_lengths.empty()) {
    throw Error(ErrorKind::kUsage, "matched budget: the baseline has no turns");
  }
  MatchedBudget out;
  int64_t before = 1;
  for (const int64_t n : logical_lengths) {
    if (n < before) {
      throw Error::make(ErrorKind::kUsage,
                        "matched budget: the baseline's length at turn {} is {}, expected at least "
                        "{}",
                        out.schedule.size(), n, before);
    }
    before = n;
    out.schedule.push_back(std::max<int64_t>(1, ratio.floor_of(n)));
  }
  out.label = fmt::format("cells: {} of the baseline's logical length", ratio.text());
  return out;
}

MatchedBudget match_bytes(std::string_view arm, std::span<const size_t> bytes, int64_t window,
                          const CacheShape& shape) {
  if (bytes.empty()) {
    throw Error::make(ErrorKind::kUsage, "matched budget: '{}' has no turns", arm);
  }
  MatchedBudget out;
  for (size_t turn = 0; turn < bytes.size(); ++turn) {
    const auto n_cells = static_cast<int64_t>(bytes[turn] / shape.cell_bytes);
    if (cells_at(1, window, shape) > n_cells) {
      throw Error::make(ErrorKind::kUsage,
                        "matched budget: {} bytes of '{}' at turn {} are less than one cell a head",
                        bytes[turn], arm, turn);
    }
    int64_t low = 1;
    int64_t high = n_cells;
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      if (cells_at(middle, window, shape) <= n_cells) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    out.schedule.push_back(low);
  }
  out.label = fmt::format("bytes: calibrated to '{}'", arm);
  return out;
}

Treatment with_matched_budget(Treatment treatment, const MatchedBudget& budget) {
  const PolicySpec& spec = find_policy(treatment.policy);
  if (spec.budget == BudgetRule::kOutcome) {
    throw Error::make(ErrorKind::kUsage,
                      "policy {} decides for itself how much stays: run it first and match the "
                      "other arms to its bytes",
                      spec.name);
  }
  treatment.budget = Budget{};
  treatment.budget.kind = BudgetKind::kSchedule;
  treatment.budget.schedule = budget.schedule;
  return treatment;
}

}  // namespace ebb::policy
