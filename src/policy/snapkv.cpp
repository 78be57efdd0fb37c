// snapkv: cells that the last queries (the observation window) attend to, smoothed over neighbours.
// Source: "SnapKV: LLM Knows What You are Looking for Before Generation", arXiv:2404.14469.
// Score: m_qj = mean over the window's queries i of the softmax weight of query head q on cell j;
// p_q = pool of
//   m_q with an odd kernel, stride 1, over the cells before the window (average: padded with zeros
//   and always divided by the kernel; max: ends cut off); s_j = mean of p_q over the group.
// Forced: every cell from the window's first query on, the newest first.
// Pooling runs over neighbours in the cache, by ordinal; after an eviction those need not be
// neighbours in the text. Deviation: with grouped queries the authors keep a set per query head;
// here, as in kvpress, one per KV head. Needs: attention of the last w queries.   State: none.
// Cost: O(n g kernel).
#include <algorithm>

#include "base/error.h"
#include "policy/specs.h"

namespace ebb::policy {
namespace {

enum class Pool { kAverage, kMax };

// Number of cells before the window's first query.
size_t n_before(const LayerView& view, const HeadView& head) {
  if (view.window_queries.empty()) return head.n_cells();
  const auto end =
      std::lower_bound(head.ordinals.begin(), head.ordinals.end(), view.window_queries.front());
  return static_cast<size_t>(end - head.ordinals.begin());
}

class Snapkv final : public Policy {
 public:
  Snapkv(int window, int64_t kernel, Pool pool)
      : window_(window), kernel_(static_cast<size_t>(kernel)), pool_(pool) {}

  Needs needs() const override { return {.attention_window = window_}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto group = static_cast<size_t>(context.shape.group_size());
    const double scale =
        1.0 / (static_cast<double>(std::max<size_t>(1, view.window_queries.size())) *
               static_cast<double>(group));
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      const size_t n = n_before(view, head);
      std::vector<double> sums(n, 0.0);
      for (size_t g = 0; g < group; ++g) {
        add_pooled(head.attention_window.subspan(g * head.n_cells(), n), sums);
      }
      for (size_t j = 0; j < n; ++j) out.rows[h][j] = static_cast<float>(sums[j] * scale);
    }
  }

  Forced forced(const LayerView& view, int head, int64_t /*budget*/) const override {
    const HeadView& cells = view.heads[static_cast<size_t>(head)];
    return {.last_cells = static_cast<int64_t>(cells.n_cells() - n_before(view, cells))};
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Snapkv>(*this); }

 private:
  void add_pooled(std::span<const float> row, std::vector<double>& sums) const {
    const size_t reach = kernel_ / 2;
    for (size_t j = 0; j < row.size(); ++j) {
      const size_t begin = j < reach ? 0 : j - reach;
      const size_t end = std::min(row.size(), j + reach + 1);
      double sum = 0.0;
      float most = row[begin];
      for (size_t i = begin; i < end; ++i) {
        sum += row[i];
        most = std::max(most, row[i]);
      }
      sums[j] +=
          pool_ == Pool::kMax ? static_cast<double>(most) : sum / static_cast<double>(kernel_);
    }
  }

  int window_;
  size_t kernel_;
  Pool pool_;
};

std::vector<std::string> check(const Params& params) {
  if (params.integer("kernel") % 2 == 1) return {};
  return {"kernel must be odd: an even one would shift scores by half a cell"};
}

std::unique_ptr<Policy> make(const Params& params) {
  return std::make_unique<Snapkv>(static_cast<int>(params.integer("window")),
                                  params.integer("kernel"),
                                  params.text("pool") == "max" ? Pool::kMax : Pool::kAverage);
}

}  // namespace

PolicySpec snapkv_spec() {
  return {
      .name = "snapkv",
      .summary = "Attention of the last queries, smoothed over neighbours",
      .paper = "arXiv:2404.14469",
      .differs =
          "One set of cells a KV head, as in kvpress (the authors repeat KV heads and keep one a "
          "query head). A "
          "budget below the window keeps the newest cells; kvpress keeps arbitrary ones.",
      .when = "any event; while decoding the window is the last generated tokens",
      .cost = "n g kernel",
      .params = {integer_param("window", 64, 1, 4096, "number of last queries"),
                 integer_param("kernel", 5, 1, 1001, "pooling width, odd"),
                 choice_param("pool", {"average", "max"}, "how neighbours are joined")},
      .budget = BudgetRule::kExact,
      .score_kind = ScoreKind::kProbability,
      .is_order_free = false,
      .make = make,
      .check = check,
  };
}

}  // namespace ebb::policy
