// lagkv_recursive: LagKV as published: every block is thinned once, as soon as a full block follows
// it. Source: "LagKV", arXiv:2504.04704, and the authors' code. Kept: sinks; of each complete block
// after them with a complete block behind it, the floor(ratio * lag) cells
//   with the highest u_keys + value_weight * u_values (lag_blocks.h); survivors of earlier events;
//   the rest.
// Budget: an outcome of ratio and lag. Under a token budget the same order holds: what the method
// keeps first. State: per layer and head, the ordinal before which blocks are done; copied at a
// fork. Needs: keys, values.   Cost: O(n d) of the cells that are not done.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "policy/lag_blocks.h"
#include "policy/specs.h"

namespace ebb::policy {
namespace {

class LagkvRecursive final : public Policy {
 public:
  LagkvRecursive(int64_t n_sink, int64_t lag, const Ratio& ratio, double value_weight)
      : n_sink_(n_sink),
        lag_(static_cast<size_t>(lag)),
        n_keep_(static_cast<size_t>(ratio.floor_of(lag))),
        value_weight_(value_weight) {}

  Needs needs() const override { return {.keys = true, .values = true}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto d = static_cast<size_t>(context.shape.head_dim);
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      const size_t n = head.n_cells();
      std::vector<float>& row = out.rows[h];
      std::fill(row.begin(), row.end(), kStays);
      Ordinal& done = done_[{view.layer, static_cast<int>(h)}];
      const Ordinal start = std::max(done, Ordinal{static_cast<uint32_t>(n_sink_)});
      auto at =
          static_cast<size_t>(std::lower_bound(head.ordinals.begin(), head.ordinals.end(), start) -
                              head.ordinals.begin());
      size_t n_kept = n;
      for (; at + 2 * lag_ <= n; at += lag_) {
        thin_block(head, at, d, row);
        n_kept -= lag_ - n_keep_;
        done = head.ordinals[at + lag_];
      }
      out.own_counts.push_back(static_cast<int64_t>(n_kept));
    }
  }

  std::unique_ptr<Policy> clone() const override { return std::make_unique<LagkvRecursive>(*this); }

 private:
  // Above every measure, which is below 1 + value_weight.
  static constexpr float kStays = 1e6F;

  void thin_block(const HeadView& head, size_t begin, size_t d, std::vector<float>& row) const {
    const auto part = [&](std::span<const float> x, size_t at) {
      return x.subspan(at * d, lag_ * d);
    };
    const auto k = lag_scores(part(head.keys, begin), part(head.keys, begin + lag_), d);
    const auto v = lag_scores(part(head.values, begin), part(head.values, begin + lag_), d);
    std::vector<size_t> order(lag_);
    std::iota(order.begin(), order.end(), size_t{0});
    const auto value = [&](size_t t) { return k[t] + value_weight_ * v[t]; };
    for (size_t t = 0; t < lag_; ++t) {
      if (!std::isnan(value(t))) continue;
      row[begin + t] = NAN;  // refused by name; sorting it would not be defined
      return;
    }
    // Later first among equals, so that a tie keeps the more recent cell.
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return value(a) != value(b) ? value(a) > value(b) : a > b;
    });
    for (size_t r = n_keep_; r < lag_; ++r)
      row[begin + order[r]] = static_cast<float>(value(order[r]));
  }

  int64_t n_sink_;
  size_t lag_;
  size_t n_keep_;
  double value_weight_;
  std::map<std::pair<int, int>, Ordinal> done_;
};

std::vector<std::string> check(const Params& params) {
  if (params.ratio("keep_ratio").floor_of(params.integer("lag")) > 0) return {};
  return {"keep_ratio * lag is below one cell: every finished block would vanish"};
}

std::unique_ptr<Policy> make(const Params& params) {
  return std::make_unique<LagkvRecursive>(params.integer("n_sink"), params.integer("lag"),
                                          params.ratio("keep_ratio"), params.real("value_weight"));
}

}  // namespace

PolicySpec lagkv_recursive_spec() {
  return {
      .name = "lagkv_recursive",
      .summary = "LagKV as published: each block is thinned once, against the block that follows",
      .paper = "arXiv:2504.04704",
      .differs = "The authors' code; kvpress re-scores the whole cache: `lagkv`.",
      .when = "any event; made for every_n = lag",
      .cost = "n d",
      .params = {integer_param("n_sink", 16, 0, 100'000, "ordinals below this always stay"),
                 integer_param("lag", 1024, 1, 100'000, "cells in a block"),
                 ratio_param("keep_ratio", "0.5", "share of a block that stays"),
                 real_param("value_weight", "1", 0.0, 1000.0, "weight of values beside keys")},
      .budget = BudgetRule::kOutcome,
      .score_kind = ScoreKind::kRank,
      .has_own_budget = true,
      .is_order_free = false,
      .make = make,
      .check = check,
  };
}

}  // namespace ebb::policy
