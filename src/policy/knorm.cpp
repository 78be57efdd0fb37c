// knorm: cells whose keys have a small 2-norm (they tend to draw much attention).
// Source: "A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression",
// arXiv:2406.11430. Score: -|k|_2 of the cached key (RoPE does not change a norm). skip_layers
// leaves the first layers whole, as the authors do with 2; kvpress evicts from all layers. Needs:
// keys.   State: none.   Cost: O(n d).
#include <cmath>

#include "policy/specs.h"
#include "policy/vector_math.h"

namespace ebb::policy {
namespace {

class Knorm final : public Policy {
 public:
  explicit Knorm(int64_t skip_layers) : skip_layers_(skip_layers) {}

  Needs needs() const override { return {.keys = true}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto d = static_cast<size_t>(context.shape.head_dim);
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      for (size_t t = 0; t < head.n_cells(); ++t) {
        out.rows[h][t] = static_cast<float>(-norm2(head.keys.subspan(t * d, d)));
      }
    }
  }

  bool skips_layer(int layer) const override { return layer < skip_layers_; }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Knorm>(*this); }

 private:
  int64_t skip_layers_;
};

std::unique_ptr<Policy> make(const Params& params) {
  return std::make_unique<Knorm>(params.integer("skip_layers"));
}

}  // namespace

PolicySpec knorm_spec() {
  return {
      .name = "knorm",
      .summary = "Keys with a small norm",
      .paper = "arXiv:2406.11430",
      .differs =
          "kvpress evicts from every layer (the default here); the authors leave the first two "
          "whole: "
          "`knorm_skip2`, whose layers 0 and 1 are then outside the budget.",
      .when = "any event",
      .cost = "n d",
      .params = {integer_param("skip_layers", 0, 0, 1000, "first layers that are never evicted")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kGeometric,
      .make = make,
  };
}

}  // namespace ebb::policy
