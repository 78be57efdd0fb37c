// The plan's validation: what three arms did, and what that says about each success criterion.
// Pure functions over records; nothing here runs a model. A criterion that the data cannot answer
// is "not assessable", never passed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ratio.h"
#include "model/config.h"

namespace ebb::experiment {

struct CellRange {
  double min = 0, mean = 0, max = 0;  // over the KV heads of a layer
};

struct LayerCells {
  int layer = 0;
  model::LayerClass layer_class = model::LayerClass::kGlobal;
  CellRange before, after;  // of the event at the end of the turn
};

struct TurnRecord {
  int turn = 0;  // the file's turn id
  int prompt_tokens = 0;
  int generated_tokens = 0;
  double cells_before = 0;  // of a global layer, mean over heads
  double cells_after = 0;
  uint64_t bytes_after = 0;   // what the cache holds, page slack included
  uint64_t bytes_cells = 0;   // keys and values alone
  double baseline_share = 0;  // cells_after / the baseline's at the same turn
  std::string reply;
  std::vector<int32_t> reply_ids;
  std::vector<double> reply_nll;  // per reply token, under the model with the unevicted cache
  std::vector<LayerCells> layers;
};

struct ConversationRecord {
  std::string id;
  std::vector<TurnRecord> turns;
};

// kOther: any further treatment, judged by the criteria that hold for all.
enum class ArmKind { kBaseline, kStreaming, kRandom, kOther };

struct ArmRecord {
  std::string arm;  // its name in tables
  ArmKind kind = ArmKind::kBaseline;
  std::string positions;  // the position mode
  std::vector<ConversationRecord> conversations;
  bool query_visible = false;  // its policy ran after the message was known, before the reply
  uint64_t n_evicted = 0;      // cells that the treatment removed, over everything
};

// Bytes; 0 = not measured.
struct MemoryRecord {
  uint64_t weights = 0, cache = 0, activations = 0;
  uint64_t predicted_peak = 0, measured_peak = 0;
  uint64_t limit = 0;  // what the run may use
};

// What a direct look into the cache found: cells read as numbers, then some evicted.
struct CacheProbe {
  int n_layers = 0, n_kv_heads = 0, head_dim = 0;
  int64_t n_values_read = 0;  // keys and values
  int64_t n_values_not_finite = 0;
  int64_t cells_before = 0, cells_after = 0;  // of all layers and heads, around an eviction
  uint64_t bytes_before = 0, bytes_after = 0;
};

struct ValidationInput {
  std::string model;
  int64_t keep_initial = 50, keep_recent = 50;
  Ratio retention = Ratio::parse("0.5");
  MemoryRecord memory;
  std::optional<CacheProbe> probe;
  std::vector<ArmRecord> arms;
};

enum class Verdict { kPass, kFail, kNotAssessable };
std::string_view verdict_name(Verdict verdict);  // "pass", "fail", "not_assessable"

struct Criterion {
  std::string name;
  Verdict verdict = Verdict::kNotAssessable;
  std::string detail;  // one or two sentences with the numbers behind the verdict
};

// Every criterion of the plan, in its order.
std::vector<Criterion> judge(const ValidationInput& input);

// {model, arms: [...], criteria: [...]} as text; `cells_*` are those of a global layer.
std::string to_json(const ValidationInput& input, const std::vector<Criterion>& criteria);

// The rules behind judge(), one per criterion.
Criterion judge_memory(const MemoryRecord& memory);
Criterion judge_access(const std::optional<CacheProbe>& probe);
Criterion judge_growth(const ArmRecord& baseline);
Criterion judge_streaming(const ArmRecord& arm, int64_t keep_initial, int64_t keep_recent);
Criterion judge_random(const ArmRecord& arm, const Ratio& retention);
Criterion judge_half(const ArmRecord& arm, const ArmRecord& baseline);
Criterion judge_coherence(const ArmRecord& arm, const ArmRecord& baseline);
Criterion judge_examples(const std::vector<ArmRecord>& arms);

}  // namespace ebb::experiment
