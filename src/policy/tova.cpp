// tova, tova_head: cells by the attention of the last query.
// Source: "Transformers are Multi-State RNNs", arXiv:2401.06104.
// Score of tova: mean over ALL query heads of the layer of the last query's softmax weight on the
// token, the
//   same for every KV head, so whole tokens leave a layer. tova_head (ours): mean over the head's
//   own group.
// keep_last = off is the authors' code, where the last token competes; on is kvpress, which always
// keeps it. Heads that hold different cells are matched by ordinal; a cell that a head lacks got no
// attention from it. Needs: attention of the last query.   State: none.   Cost: O(n g).
#include <map>

#include "policy/specs.h"

namespace ebb::policy {
namespace {

enum class Over { kLayer, kGroup };

class Tova final : public Policy {
 public:
  Tova(Over over, bool keep_last) : over_(over), keep_last_(keep_last) {}

  Needs needs() const override { return {.attention_window = 1}; }

  void score(const ScoreContext& context, const LayerView& view, LayerScores& out) override {
    const auto group = static_cast<size_t>(context.shape.group_size());
    std::map<Ordinal, double> by_token;
    for (size_t h = 0; h < view.heads.size(); ++h) {
      const HeadView& head = view.heads[h];
      const size_t n = head.n_cells();
      for (size_t j = 0; j < n; ++j) {
        double sum = 0.0;
        for (size_t g = 0; g < group; ++g) sum += head.attention_window[g * n + j];
        out.rows[h][j] = static_cast<float>(sum / static_cast<double>(group));
        if (over_ == Over::kLayer) by_token[head.ordinals[j]] += sum;
      }
    }
    if (over_ == Over::kGroup) return;
    for (size_t h = 0; h < view.heads.size(); ++h) {
      for (size_t j = 0; j < view.heads[h].n_cells(); ++j) {
        out.rows[h][j] =
            static_cast<float>(by_token.at(view.heads[h].ordinals[j]) / context.shape.n_q_heads);
      }
    }
  }

  Forced forced(const LayerView& /*view*/, int /*head*/, int64_t /*budget*/) const override {
    return {.last_cells = keep_last_ ? 1 : 0};
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Tova>(*this); }

 private:
  Over over_;
  bool keep_last_;
};

PolicySpec spec_of(Over over) {
  PolicySpec spec;
  spec.paper = "arXiv:2401.06104";
  spec.when = "any event";
  spec.cost = "n g";
  spec.params = {choice_param("keep_last", {"off", "on"}, "always keep the last token (kvpress)")};
  spec.score_kind = ScoreKind::kProbability;
  if (over == Over::kLayer) {
    spec.name = "tova";
    spec.summary = "Attention of the last query, mean over all heads of the layer";
    spec.differs = "The authors' code. kvpress always keeps the last token: `tova_kvpress`.";
    spec.sets = SetsDiffer::kByLayer;
    spec.make = [](const Params& params) -> std::unique_ptr<Policy> {
      return std::make_unique<Tova>(Over::kLayer, params.is_on("keep_last"));
    };
  } else {
    spec.name = "tova_head";
    spec.summary = "Attention of the last query, each KV head by itself";
    spec.differs =
        "Ours: tova without the mean over the layer, so that heads may keep different tokens.";
    spec.make = [](const Params& params) -> std::unique_ptr<Policy> {
      return std::make_unique<Tova>(Over::kGroup, params.is_on("keep_last"));
    };
  }
  return spec;
}

}  // namespace

PolicySpec tova_spec() { return spec_of(Over::kLayer); }
PolicySpec tova_head_spec() { return spec_of(Over::kGroup); }

}  // namespace ebb::policy
