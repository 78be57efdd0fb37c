// The interface of a policy and its entry in the catalogue. A policy answers WHICH cells matter: it
// never holds a budget, never sees a model and never calls another policy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "policy/params.h"
#include "policy/view.h"

namespace ebb::policy {

struct ScoreContext {
  const EventInfo& event;
  const CacheShape& shape;
  const KeyedRandom& random;
};

// One layer's answer. The evictor sizes `rows` before the call.
struct LayerScores {
  std::vector<std::vector<float>> rows;  // [n_kv_heads][n_cells], higher = keep
  // How many cells of each head stay by the policy's own parameters; filled only by policies that
  // say so in their PolicySpec.  [n_kv_heads]
  std::vector<int64_t> own_counts;
};

// Cells that a method keeps whatever their score. Clipped to the budget: sinks first, then the
// newest.
struct Forced {
  int64_t first_ordinals = 0;
  int64_t last_cells = 0;
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual Needs needs() const = 0;
  // Not const: a method with a memory of its own (lagkv_recursive) updates it here.
  virtual void score(const ScoreContext& context, const LayerView& view, LayerScores& out) = 0;
  virtual Forced forced(const LayerView& /*view*/, int /*head*/, int64_t /*budget*/) const {
    return {};
  }
  // Layers that the method leaves alone.
  virtual bool skips_layer(int /*layer*/) const { return false; }
  virtual std::unique_ptr<Policy> clone() const = 0;
};

enum class BudgetRule { kExact, kAtMost, kOutcome };

// Whether scores of different heads can be compared, as adaptive allocators do.
enum class ScoreKind {
  kProbability,  // attention weights: comparable; may be weighed by values
  kGeometric,    // norms and cosines: comparable with care
  kRank,         // order inside one head only
};

enum class SetsDiffer { kByHead, kByLayer };  // kByLayer: all heads of a layer keep the same tokens

struct PolicySpec {
  std::string name;
  int version = 1;  // a changed formula gets a new one
  std::string summary;
  std::string paper;    // "arXiv:NNNN.NNNNN" or "-"
  std::string differs;  // which of paper and kvpress this is, and deviations
  std::string when;     // events it is usable at
  std::string cost;     // n cells, d head size, g group size
  std::vector<ParamSpec> params;
  BudgetRule budget = BudgetRule::kExact;
  ScoreKind score_kind = ScoreKind::kRank;
  SetsDiffer sets = SetsDiffer::kByHead;
  bool has_own_budget = false;
  // What a head keeps follows from the ordinals and spans of its cells and the event alone: score()
  // looks neither at the layer nor at a head's place in it, draws nothing and remembers nothing. A
  // layer that holds, head by head, what the one before held is then not scored again.
  bool is_by_ordinals = false;
  bool is_order_free =
      true;  // the order in which cells are listed does not matter, only their ordinals
  std::unique_ptr<Policy> (*make)(const Params& params) = nullptr;
  // Problems between parameters that are each in range; null = none possible.
  std::vector<std::string> (*check)(const Params& params) = nullptr;
};

}  // namespace ebb::policy
