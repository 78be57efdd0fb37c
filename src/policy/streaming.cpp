// streaming: the first tokens of the sequence (attention sinks) and the most recent cells.
// Source: StreamingLLM, arXiv:2309.17453.
// Score: sinks above all others, earliest first; the rest by recency. With a token budget B this
// keeps
//   min(keep_initial, B) sinks and B minus that many recent cells.
// With its own parameters a head is left alone while it holds no more than keep_initial +
// keep_recent cells. A sink is an ordinal below keep_initial: on a sliding-window layer a sink that
// has left the window is
//   gone by architecture and no later token takes its place.
// Deviation: which positions keys count from is the position mode's affair, not the policy's (the
// paper's
//   in-cache positions are mode compact).
// Needs: ordinals.   State: none.   Cost: O(n).
#include <algorithm>
#include <limits>

#include "policy/specs.h"

namespace ebb::policy {
namespace {

class Streaming final : public Policy {
 public:
  Streaming(int64_t keep_initial, int64_t keep_recent)
      : keep_initial_(keep_initial), keep_recent_(keep_recent) {}

  Needs needs() const override { return {}; }

  void score(const ScoreContext& /*context*/, const LayerView& view, LayerScores& out) override {
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      // Of 32 bits, so that the compiler makes vectors of the loop.
      const auto n = static_cast<int32_t>(head.n_cells());
      const auto first_behind = static_cast<uint32_t>(
          std::clamp<int64_t>(keep_initial_, 0, std::numeric_limits<uint32_t>::max()));
      const Ordinal* ordinals = head.ordinals.data();
      float* scores = out.rows[h].data();
      int32_t n_sinks = 0;
      for (int32_t i = 0; i < n; ++i) {
        const bool is_sink = ordinals[i].value < first_behind;
        n_sinks += is_sink ? 1 : 0;
        // Places in the list, not ordinals: exact in float32 up to 2^23 cells.
        const int32_t up = is_sink ? 2 * (n - i) : 0;
        scores[i] = static_cast<float>(i + up);
      }
      const int64_t n_cells = n;
      const bool is_short = n_cells <= keep_initial_ + keep_recent_;
      out.own_counts.push_back(is_short ? n_cells : n_sinks + keep_recent_);
    }
  }

  std::unique_ptr<Policy> clone() const override { return std::make_unique<Streaming>(*this); }

 private:
  int64_t keep_initial_;
  int64_t keep_recent_;
};

std::vector<std::string> check(const Params& params) {
  if (params.integer("keep_initial") == 0 && params.integer("keep_recent") == 0) {
    return {"keep_initial and keep_recent are both 0: that would keep nothing"};
  }
  return {};
}

}  // namespace

PolicySpec streaming_spec() {
  return {
      .name = "streaming",
      .summary = "The first tokens (attention sinks) and the most recent ones",
      .paper = "arXiv:2309.17453",
      .differs =
          "The paper counts positions inside the cache: positions = compact. kvpress gives a ratio "
          "and keeps original positions.",
      .when = "any event",
      .cost = "n",
      .params = {integer_param("keep_initial", 100, 0, 1'000'000, "sinks: ordinals below this"),
                 integer_param("keep_recent", 100, 0, 1'000'000,
                               "most recent cells; unused under a token budget")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kRank,
      .sets = SetsDiffer::kByLayer,
      .has_own_budget = true,
      .is_by_ordinals = true,
      .is_order_free = false,
      .make = [](const Params& params) -> std::unique_ptr<Policy> {
        return std::make_unique<Streaming>(params.integer("keep_initial"),
                                           params.integer("keep_recent"));
      },
      .check = check,
  };
}

}  // namespace ebb::policy
