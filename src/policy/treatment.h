// A treatment is a product of independent parts: which cells stay (policy, refinement), how a
// budget is shared (allocator), how much stays (budget), when (trigger), over what (scope), where
// keys count (positions) and what may never go (protection). Plain data; text forms are in
// treatment_text.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ratio.h"
#include "policy/params.h"
#include "policy/view.h"

namespace ebb::policy {

enum class BudgetKind {
  kOwn,       // the policy's own parameters say how much stays (streaming, random, lagkv_recursive)
  kCount,     // cells per layer and KV head
  kRatio,     // floor(ratio * length), at least 1
  kBytes,     // of the whole cache of the sequence
  kSchedule,  // cells per layer and KV head, one entry a turn: for matched arms
};
enum class RatioOf { kPrompt, kTurn, kLive, kLogical };

struct Budget {
  BudgetKind kind = BudgetKind::kOwn;
  int64_t count = 0;
  Ratio ratio;
  RatioOf of = RatioOf::kLogical;
  int64_t size_bytes = 0;
  std::vector<int64_t> schedule;  // turns past the end keep the last entry
};

// Several may be on at once. All off: nothing is ever evicted.
struct Trigger {
  bool at_prompt_end = false;
  bool at_turn_end = true;
  bool at_cap = false;       // before a step that would exceed the budget
  int64_t every_n = 0;       // generated tokens; 0 = off
  int64_t prompt_block = 0;  // tokens of a prompt processed before each eviction; 0 = off

  bool includes(EventKind kind) const;
};

enum class ScopeCells {
  kWhole,
  kNewestTurn,  // older survivors stay and are not counted; the budget is the newest turn's
                // (FlowKV)
  kHybrid,      // the newest turn first; then all, when more than hybrid_cap cells are left
};
enum class ScopeLayers { kAll, kGlobal, kSliding };

struct Scope {
  ScopeCells cells = ScopeCells::kWhole;
  ScopeLayers layers = ScopeLayers::kAll;
  int64_t hybrid_cap = 0;  // cells per layer and KV head
};

// Taken out of the candidates and counted in the budget; more than the budget is an error.
struct Protection {
  int64_t first_ordinals = 0;  // ordinals below this
  int64_t last_cells = 0;      // the most recent cells of each head
  std::vector<Role> roles;
  std::vector<Ordinal> ordinals;
  std::vector<std::string> instruction_ids;
};

enum class AllocatorKind {
  kUniform,
  kLayers,          // a vector of counts, one a layer
  kPyramid,         // more in low layers (the paper's ramp, exact total)
  kPyramidKvpress,  // the same ramp as kvpress rounds it
  kAdaFloor,        // adaptive over a layer's heads with a floor (kvpress' AdaKV)
  kAdaMix,          // adaptive, interpolated with uniform (the paper's Ada-KV)
  kGlobal,          // adaptive over all layers and heads
  kSpanQuota,       // every span keeps its share within a head (fair eviction)
  kFile,            // a table of counts [layer][head]
};
enum class QuotaBy { kSpan, kTurn, kRole };

struct Allocator {
  AllocatorKind kind = AllocatorKind::kUniform;
  Ratio alpha;             // guaranteed share of a head under the adaptive kinds
  bool normalize = false;  // ada_mix: weigh scores by the head's share of mass
  int64_t beta = 20;       // steepness of a pyramid
  QuotaBy quota_by = QuotaBy::kSpan;
  std::string budget_file;                  // kFile: where `table` came from
  std::vector<int64_t> layers;              // kLayers: [n_layers]
  std::vector<std::vector<int64_t>> table;  // kFile: [n_layers][n_kv_heads]
};

// A second look at a policy's scores.
enum class Refine {
  kNone,
  kValueNorm,    // (s + 1e-4) * |v|_2
  kValueOutput,  // (s + 1e-4) * mean over the group of |W_o v|_2
  kCriticalL1,   // CriticalKV: half of the budget by s, the rest by (s + 1e-4) * mean |W_o v|_1
  kCriticalL2,   // the same with the cheap 2-norm
};

struct Treatment {
  std::string name;  // what was asked for: a policy or a named combination
  std::string policy = "full";
  ParamMap policy_params;  // resolved: every parameter of the policy
  Refine refine = Refine::kNone;
  int64_t chunk = 0;  // whole chunks of this many cells, the same in every head (ChunkKV); 0 = off
  Allocator allocator;
  Budget budget;
  Trigger trigger;
  Scope scope;
  PositionMode positions = PositionMode::kOriginal;
  Protection protection;
  Observe observe = Observe::kLastReplyTokens;
};

// Whether the policy runs between a message and the end of its reply, so that it may know what is
// asked. By default it runs at the end of a turn, before the next message exists. Results of the
// two kinds answer different questions and are never compared unlabelled.
bool sees_query(const Treatment& treatment);

// ALL problems of a treatment at once, one sentence each; empty = it makes sense. `shape` adds what
// only the model can tell (number of layers, sliding layers).
std::vector<std::string> problems_of(const Treatment& treatment);
std::vector<std::string> problems_of(const Treatment& treatment, const CacheShape& shape);

}  // namespace ebb::policy
