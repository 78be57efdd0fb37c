// observed_attention: cells by the mean attention they have received.
// Source: kvpress' ObservedAttentionPress (no paper; not H2O).
// Score: c_j / (g * m_j), c_j the summed softmax weight on cell j over the g query heads of the
// group, m_j
//   the number of queries that could see it: those born since, at most the window on a sliding
//   layer.
// Deviation: kvpress divides by the distance to the end of the cache, which is m_j only at the
// first eviction. Needs: attention sums.   State: the sums, kept by the engine with the cells.
// Cost: O(n).
#include <algorithm>

#include "base/error.h"
#include "policy/specs.h"

namespace ebb::policy {
namespace {

class ObservedAttention final : public Policy {
 public:
  Needs needs() const override { return {.attention_sum = true}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const double group = context.shape.group_size();
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      for (size_t j = 0; j < head.n_cells(); ++j) {
        int64_t n_queries = context.event.n_logical - head.ordinals[j].value;
        if (view.is_sliding && view.window > 0)
          n_queries = std::min<int64_t>(n_queries, view.window);
        EBB_CHECK(n_queries > 0);
        out.rows[h][j] =
            static_cast<float>(head.attention_sum[j] / (group * static_cast<double>(n_queries)));
      }
    }
  }

  std::unique_ptr<Policy> clone() const override {
    return std::make_unique<ObservedAttention>(*this);
  }
};

}  // namespace

PolicySpec observed_attention_spec() {
  return {
      .name = "observed_attention",
      .summary = "Mean attention received",
      .paper = "-",
      .differs =
          "kvpress' ObservedAttentionPress. The last cells have few queries behind them, so their "
          "scores are "
          "noisy; the published heavy-hitter method is `h2o`.",
      .when = "any event",
      .cost = "n",
      .params = {},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kProbability,
      .make = [](const Params&) -> std::unique_ptr<Policy> {
        return std::make_unique<ObservedAttention>();
      },
  };
}

}  // namespace ebb::policy
