// full: nothing is ever evicted. The baseline arm, and what every policy must equal at budget >= n.
// Score: 0 everywhere; every cell is kept whatever the budget.
// Needs: nothing.   State: none.   Cost: O(1).
#include "policy/specs.h"

namespace ebb::policy {
namespace {

class Full final : public Policy {
 public:
  Needs needs() const override { return {}; }
  void score(const ScoreContext& /*context*/, const LayerView& view, LayerScores& out) override {
    for (const HeadView& head : view.heads) {
      out.own_counts.push_back(static_cast<int64_t>(head.n_cells()));
    }
  }
  bool skips_layer(int /*layer*/) const override { return true; }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Full>(*this); }
};

}  // namespace

PolicySpec full_spec() {
  return {
      .name = "full",
      .summary = "No eviction: the baseline",
      .paper = "-",
      .differs = "Every other policy equals it at a budget of n cells or more.",
      .when = "always",
      .cost = "none",
      .params = {},
      .budget = BudgetRule::kOutcome,
      .score_kind = ScoreKind::kRank,
      .sets = SetsDiffer::kByLayer,
      .has_own_budget = true,
      .make = [](const Params&) -> std::unique_ptr<Policy> { return std::make_unique<Full>(); },
  };
}

}  // namespace ebb::policy
