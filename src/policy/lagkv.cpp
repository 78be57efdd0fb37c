// lagkv: cells that differ from what follows them, ranked inside blocks. The global, one-shot form.
// Source: "LagKV", arXiv:2504.04704, as kvpress runs it.
// Score: after the sinks the cells present are cut into blocks of `lag`; block p is measured
// against block p+1
//   (lag_blocks.h), u = (u_keys + u_values) / 2. cross = off: rank inside the block / lag; on: u
//   itself.
// Forced: sinks, the last full block and the remainder. With fewer than sinks + 2 blocks: sinks and
// recent cells. Ranks tie over blocks; a tie keeps the more recent cell. Needs: keys, values.
// State: none.   Cost: O(n d).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "policy/lag_blocks.h"
#include "policy/specs.h"

namespace ebb::policy {
namespace {

// Places of equal values in order: the earlier gets the lower rank.
std::vector<size_t> ranks_of(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<size_t> ranks(values.size());
  for (size_t r = 0; r < order.size(); ++r) ranks[order[r]] = r;
  return ranks;
}

class Lagkv final : public Policy {
 public:
  Lagkv(int64_t n_sink, int64_t lag, bool is_cross)
      : n_sink_(n_sink), lag_(static_cast<size_t>(lag)), is_cross_(is_cross) {}

  Needs needs() const override { return {.keys = true, .values = true}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto d = static_cast<size_t>(context.shape.head_dim);
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      const size_t first = n_sinks(head);
      const size_t n_blocks = (head.n_cells() - first) / lag_;
      if (n_blocks < 2) {
        for (size_t t = 0; t < head.n_cells(); ++t) out.rows[h][t] = static_cast<float>(t);
        continue;
      }
      for (size_t block = 0; block + 1 < n_blocks; ++block) {
        score_block(head, first + block * lag_, d, out.rows[h]);
      }
    }
  }

  Forced forced(const LayerView& view, int head, int64_t /*budget*/) const override {
    const HeadView& cells = view.heads[static_cast<size_t>(head)];
    const size_t rest = cells.n_cells() - n_sinks(cells);
    const size_t tail = rest / lag_ < 2 ? 0 : lag_ + rest % lag_;
    return {.first_ordinals = n_sink_, .last_cells = static_cast<int64_t>(tail)};
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Lagkv>(*this); }

 private:
  size_t n_sinks(const HeadView& head) const {
    return static_cast<size_t>(std::count_if(head.ordinals.begin(), head.ordinals.end(),
                                             [&](Ordinal o) { return o.value < n_sink_; }));
  }

  void score_block(const HeadView& head, size_t begin, size_t d, std::vector<float>& out) const {
    const size_t size = lag_ * d;
    const auto part = [&](std::span<const float> x, size_t at) { return x.subspan(at * d, size); };
    const size_t next = begin + lag_;
    auto u = lag_scores(part(head.keys, begin), part(head.keys, next), d);
    const auto v = lag_scores(part(head.values, begin), part(head.values, next), d);
    for (size_t t = 0; t < lag_; ++t) u[t] = (u[t] + v[t]) / 2.0;
    // Ranks would hide what is not a number from the check that refuses it.
    const bool has_nan = std::any_of(u.begin(), u.end(), [](double x) { return std::isnan(x); });
    const auto ranks = has_nan ? std::vector<size_t>(lag_, 0) : ranks_of(u);
    for (size_t t = 0; t < lag_; ++t) {
      const double rank = static_cast<double>(ranks[t]) / static_cast<double>(lag_);
      out[begin + t] = static_cast<float>(is_cross_ || has_nan ? u[t] : rank);
    }
  }

  int64_t n_sink_;
  size_t lag_;
  bool is_cross_;
};

std::unique_ptr<Policy> make(const Params& params) {
  return std::make_unique<Lagkv>(params.integer("n_sink"), params.integer("lag"),
                                 params.is_on("cross"));
}

}  // namespace

PolicySpec lagkv_spec() {
  return {
      .name = "lagkv",
      .summary = "Cells unlike the block that follows them, over the whole cache",
      .paper = "arXiv:2504.04704",
      .differs =
          "kvpress' one-shot form under an exact budget. The authors compress block by block and "
          "never look at "
          "survivors again: `lagkv_recursive`. A constant channel counts 0; kvpress gives NaN.",
      .when = "any event",
      .cost = "n d",
      .params = {integer_param("n_sink", 4, 0, 100'000, "ordinals below this always stay"),
                 integer_param("lag", 128, 1, 100'000, "cells in a block"),
                 choice_param("cross", {"off", "on"},
                              "compare scores over blocks instead of ranks")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kRank,
      .is_order_free = false,
      .make = make,
  };
}

}  // namespace ebb::policy
