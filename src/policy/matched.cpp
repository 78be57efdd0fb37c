#include "policy/matched.h"

#include <algorithm>

#include "base/error.h"
#include "policy/catalogue.h"

namespace ebb::policy {
namespace {

// Cells of all heads at a budget, where layers hold no more than they have.
int64_t cells_at(int64_t budget, std::span<const int64_t> cells_at_most, int64_t n_heads) {
  int64_t n = 0;
  for (const int64_t most : cells_at_most) n += n_heads * std::min(budget, most);
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

MatchedBudget match_bytes(std::string_view arm, std::span<const size_t> bytes,
                          std::span<const std::vector<int64_t>> baseline_cells,
                          const CacheShape& shape) {
  if (bytes.empty() || bytes.size() != baseline_cells.size()) {
    throw Error::make(ErrorKind::kUsage,
                      "matched budget: '{}' has {} turns, the baseline {}; expected the same, and "
                      "at least one",
                      arm, bytes.size(), baseline_cells.size());
  }
  MatchedBudget out;
  for (size_t turn = 0; turn < bytes.size(); ++turn) {
    EBB_CHECK(baseline_cells[turn].size() == static_cast<size_t>(shape.n_layers));
    const auto n_cells = static_cast<int64_t>(bytes[turn] / shape.cell_bytes);
    const auto fits = [&](int64_t budget) {
      return cells_at(budget, baseline_cells[turn], shape.n_kv_heads) <= n_cells;
    };
    if (!fits(1)) {
      throw Error::make(ErrorKind::kUsage,
                        "matched budget: {} bytes of '{}' at turn {} are less than one cell a head",
                        bytes[turn], arm, turn);
    }
    int64_t low = 1;
    int64_t high = *std::max_element(baseline_cells[turn].begin(), baseline_cells[turn].end());
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      if (fits(middle)) {
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
