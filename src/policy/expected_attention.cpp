// expected_attention: cells that future queries are expected to attend to, by the mean and
// covariance of past ones. Source: "Expected Attention", arXiv:2510.00636. Score: mu' = R mu, S' =
// R S R^T with R the mean rotation over the next `n_future` positions;
//   e_t = scale mu'.k_t + scale^2 k_t^T S' k_t / 2; p = softmax of e over the cells that are not
//   sinks; s_t = mean over the group of p, and with use_vnorm (s + epsilon) |v_t|_2. scale is the
//   model's own.
// Forced: sinks. The future starts at the next ordinal; keys stand at their ordinals (position mode
// original). Deviation from kvpress: it starts the future at the length of its query buffer, wrong
// after the first prompt. Needs: query moments, keys, values.   State: none (moments are the
// engine's).   Cost: O(n d^2 g).
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "policy/future_queries.h"
#include "policy/specs.h"
#include "policy/vector_math.h"

namespace ebb::policy {
namespace {

class ExpectedAttention final : public Policy {
 public:
  explicit ExpectedAttention(const Params& params)
      : n_sink_(params.integer("n_sink")),
        n_future_(params.integer("n_future")),
        use_covariance_(params.is_on("use_covariance")),
        use_vnorm_(params.is_on("use_vnorm")),
        epsilon_(params.real("epsilon")) {}

  Needs needs() const override {
    return {.keys = true,
            .values = use_vnorm_,
            .query_moments = true,
            .moments_skip_first = static_cast<int>(n_sink_)};
  }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto d = static_cast<size_t>(context.shape.head_dim);
    const auto group = static_cast<size_t>(context.shape.group_size());
    const MeanRotation rotation(view.rope_frequencies, context.event.n_logical, n_future_);
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      std::vector<double> sums(head.n_cells(), 0.0);
      for (size_t g = 0; g < group; ++g) {
        const auto queries = rotation.apply(head.query_mean.subspan(g * d, d),
                                            head.query_covariance.subspan(g * d * d, d * d));
        add_softmax(head, queries, context.shape.attention_scale, sums);
      }
      for (size_t t = 0; t < sums.size(); ++t) {
        double value = sums[t] / static_cast<double>(group);
        if (use_vnorm_) value = (value + epsilon_) * norm2(head.values.subspan(t * d, d));
        out.rows[h][t] = static_cast<float>(value);
      }
    }
  }

  Forced forced(const LayerView& /*view*/, int /*head*/, int64_t /*budget*/) const override {
    return {.first_ordinals = n_sink_};
  }
  std::unique_ptr<Policy> clone() const override {
    return std::make_unique<ExpectedAttention>(*this);
  }

 private:
  void add_softmax(const HeadView& head, const FutureQueries& queries, double scale,
                   std::vector<double>& sums) const {
    const size_t d = queries.mean.size();
    std::vector<double> e(head.n_cells(), 0.0);
    if (use_covariance_) quadratic_forms(queries.upper, head.keys, e);
    double most = -INFINITY;
    size_t n_counted = 0;
    for (size_t t = 0; t < e.size(); ++t) {
      if (head.ordinals[t].value < n_sink_) {
        e[t] = -INFINITY;
        continue;
      }
      ++n_counted;
      e[t] = scale * dot(queries.mean, head.keys.subspan(t * d, d)) + scale * scale * e[t] / 2.0;
      most = std::max(most, e[t]);
    }
    if (n_counted == 0) return;
    const double total = exponentiate(most, e);
    for (size_t t = 0; t < e.size(); ++t) sums[t] += e[t] / total;
  }

  int64_t n_sink_;
  int64_t n_future_;
  bool use_covariance_;
  bool use_vnorm_;
  double epsilon_;
};

}  // namespace

PolicySpec expected_attention_spec() {
  return {
      .name = "expected_attention",
      .summary = "Attention that future queries are expected to give",
      .paper = "arXiv:2510.00636",
      .differs =
          "Uniform by itself; the paper's head-adaptive form is `ada_expected_attention`. Future "
          "positions start "
          "at the sequence's real next position, which kvpress does only for the first prompt.",
      .when = "any event; positions = original",
      .cost = "n d^2 g",
      .params = {integer_param("n_future", 512, 1, 100'000, "future positions averaged over"),
                 integer_param("n_sink", 4, 0, 100'000,
                               "ordinals below this always stay, and stay out of statistics"),
                 choice_param("use_covariance", {"on", "off"}, "second moment of the queries"),
                 choice_param("use_vnorm", {"on", "off"}, "weigh by the norm of values"),
                 real_param("epsilon", "0", 0.0, 1.0, "added to s before values weigh in")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kProbability,
      .make = [](const Params& params) -> std::unique_ptr<Policy> {
        return std::make_unique<ExpectedAttention>(params);
      },
  };
}

}  // namespace ebb::policy
