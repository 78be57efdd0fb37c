// keydiff: cells whose keys point away from the mean direction of all keys.
// Source: "KeyDiff", arXiv:2504.15364.
// Score: -cos(k_t, a), a = mean over the cells present of k / max(|k|, 1e-12); keys as cached,
// after RoPE. The paper processes a prompt block by block under a fixed budget (trigger
// prompt_block); kvpress evicts
//   once after the whole prompt. The anchor is recomputed over the cells present at every event.
// Needs: keys.   State: none.   Cost: O(n d).
#include <algorithm>

#include "policy/specs.h"
#include "policy/vector_math.h"

namespace ebb::policy {
namespace {

constexpr double kNormFloor = 1e-12;
constexpr double kCosineFloor = 1e-8;

class Keydiff final : public Policy {
 public:
  Needs needs() const override { return {.keys = true}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto d = static_cast<size_t>(context.shape.head_dim);
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      std::vector<double> anchor(d, 0.0);
      std::vector<double> norms(head.n_cells());
      for (size_t t = 0; t < head.n_cells(); ++t) {
        const auto key = head.keys.subspan(t * d, d);
        norms[t] = norm2(key);
        const double scale = 1.0 / std::max(norms[t], kNormFloor);
        add_scaled(scale, key, anchor);
      }
      double square = 0.0;
      for (double& a : anchor) {
        a /= static_cast<double>(std::max<size_t>(1, head.n_cells()));
        square += a * a;
      }
      const double anchor_norm = std::max(std::sqrt(square), kCosineFloor);
      for (size_t t = 0; t < head.n_cells(); ++t) {
        const double product = dot(anchor, head.keys.subspan(t * d, d));
        out.rows[h][t] =
            static_cast<float>(-product / (anchor_norm * std::max(norms[t], kCosineFloor)));
      }
    }
  }

  std::unique_ptr<Policy> clone() const override { return std::make_unique<Keydiff>(*this); }
};

}  // namespace

PolicySpec keydiff_spec() {
  return {
      .name = "keydiff",
      .summary = "Keys unlike the average key",
      .paper = "arXiv:2504.15364",
      .differs =
          "One shot, as kvpress; the paper's block-wise prompt is `keydiff_block`, where later "
          "blocks attend to "
          "the evicted cache.",
      .when = "any event",
      .cost = "n d",
      .params = {},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kGeometric,
      .make = [](const Params&) -> std::unique_ptr<Policy> { return std::make_unique<Keydiff>(); },
  };
}

}  // namespace ebb::policy
