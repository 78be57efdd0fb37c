// random: cells drawn at random, the control for every other policy.
// Score: rank of a Philox draw keyed by (seed, conversation, ordinal) and, by `granularity`, the
// layer
//   (layer) or the layer and the KV head (head), and, by `redraw`, the event. Token granularity
//   removes whole tokens; layer removes the same tokens from all heads of a layer when they hold
//   the same.
// Kept by its own rate: max(1, floor(n * retention_rate)) of the n cells present, exactly.
// redraw = event: each event is a fresh lottery, an old token survives k events with rate^k.
// redraw = fixed: a token keeps its number for life, so survivors are the strong and go on
// surviving. Ranks of 64-bit draws, because float32 draws tie among thousands of cells and ties
// favour recent ones. Needs: ordinals.   State: none.   Cost: O(n log n).
#include <algorithm>
#include <numeric>

#include "policy/specs.h"

namespace ebb::policy {
namespace {

enum class Granularity { kToken, kLayer, kHead };

class Random final : public Policy {
 public:
  Random(Ratio rate, Granularity granularity, bool redraws)
      : rate_(std::move(rate)), granularity_(granularity), redraws_(redraws) {}

  Needs needs() const override { return {}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto event = redraws_ ? static_cast<uint32_t>(context.event.event_index) + 1 : 0U;
    const auto layer =
        granularity_ == Granularity::kToken ? 0U : static_cast<uint32_t>(view.layer) + 1;
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const auto head = granularity_ == Granularity::kHead ? static_cast<uint32_t>(h) + 1 : 0U;
      const HeadView& cells = view.heads[h];
      std::vector<uint64_t> draws;
      for (const Ordinal ordinal : cells.ordinals) {
        draws.push_back(context.random.u64(ordinal.value, layer, head, event));
      }
      std::vector<uint32_t> order(draws.size());
      std::iota(order.begin(), order.end(), 0U);
      std::stable_sort(order.begin(), order.end(),
                       [&](uint32_t a, uint32_t b) { return draws[a] < draws[b]; });
      for (size_t rank = 0; rank < order.size(); ++rank) {
        out.rows[h][order[rank]] = static_cast<float>(rank);
      }
      const auto n = static_cast<int64_t>(cells.n_cells());
      out.own_counts.push_back(n == 0 ? 0 : std::max<int64_t>(1, rate_.floor_of(n)));
    }
  }

  std::unique_ptr<Policy> clone() const override { return std::make_unique<Random>(*this); }

 private:
  Ratio rate_;
  Granularity granularity_;
  bool redraws_;
};

Granularity parse_granularity(const std::string& text) {
  if (text == "token") return Granularity::kToken;
  return text == "layer" ? Granularity::kLayer : Granularity::kHead;
}

}  // namespace

PolicySpec random_spec() {
  return {
      .name = "random",
      .summary = "Cells drawn at random: the control",
      .paper = "-",
      .differs =
          "kvpress draws anew for every layer and head (granularity = head, redraw = event), and "
          "with a "
          "seed draws the same for every layer and step.",
      .when = "any event",
      .cost = "n log n",
      .params = {ratio_param("retention_rate", "0.5",
                             "share of the cells present that stays; unused under a "
                             "token budget"),
                 choice_param("granularity", {"layer", "token", "head"},
                              "what shares one draw: a token, a token in a layer, a single cell"),
                 choice_param("redraw", {"event", "fixed"},
                              "draw anew at each event, or once for life")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kRank,
      .has_own_budget = true,
      .make = [](const Params& params) -> std::unique_ptr<Policy> {
        return std::make_unique<Random>(params.ratio("retention_rate"),
                                        parse_granularity(params.text("granularity")),
                                        params.text("redraw") == "event");
      },
  };
}

}  // namespace ebb::policy
