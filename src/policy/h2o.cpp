// h2o: heavy hitters by attention received so far, plus the most recent cells.
// Source: "H2O: Heavy-Hitter Oracle", arXiv:2306.14048, and the authors' code.
// Score: c_j = sum over all queries since the cell's birth, and over the group's query heads, of
// the softmax
//   weight on cell j. Not divided by the number of queries: old cells have gathered longer, as
//   published.
// Forced: the newest floor(B * recent_share) cells of the budget B (the authors give both halves 10
// %). Deviation: the authors' code keeps one recent cell more than it says; with grouped queries,
// which it does
//   not define, a KV head sums over its group.
// Needs: attention sums.   State: the sums, kept by the engine with the cells.   Cost: O(n).
#include "policy/specs.h"

namespace ebb::policy {
namespace {

class H2o final : public Policy {
 public:
  explicit H2o(Ratio recent_share) : recent_share_(std::move(recent_share)) {}

  Needs needs() const override { return {.attention_sum = true}; }

  void score(const ScoreContext& /*context*/, const LayerView& view, LayerScores& out) override {
    for (size_t h = 0; h < view.heads.size(); ++h) {
      out.rows[h].assign(view.heads[h].attention_sum.begin(), view.heads[h].attention_sum.end());
    }
  }

  Forced forced(const LayerView& /*view*/, int /*head*/, int64_t budget) const override {
    return {.last_cells = recent_share_.floor_of(budget)};
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<H2o>(*this); }

 private:
  Ratio recent_share_;
};

std::unique_ptr<Policy> make(const Params& params) {
  return std::make_unique<H2o>(params.ratio("recent_share"));
}

}  // namespace

PolicySpec h2o_spec() {
  return {
      .name = "h2o",
      .summary = "Heavy hitters by summed attention, and recent cells",
      .paper = "arXiv:2306.14048",
      .differs =
          "The published method. kvpress' ObservedAttentionPress, often quoted as H2O, divides by "
          "the number "
          "of queries and has no recent part: here `observed_attention`.",
      .when = "any event",
      .cost = "n",
      .params = {ratio_param("recent_share", "0.5",
                             "share of the budget for the most recent cells")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kProbability,
      .is_order_free = false,
      .make = make,
  };
}

}  // namespace ebb::policy
