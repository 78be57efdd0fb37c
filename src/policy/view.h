// What a policy may look at, and what it answers. The engine fills these views; policies never see
// a model, ggml or the KV store. All arrays are float32 and in the channel order of HF
// transformers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"

namespace ebb::policy {

// Which queries a policy that looks through a window sees at an event.
enum class Observe { kLastReplyTokens, kLastUserTokens, kRawTail };

// Signals that the engine gathers only where a policy asks for them. A needed signal is never
// empty.
struct Needs {
  bool keys = false;
  bool values = false;
  bool attention_sum = false;      // accumulated over every query so far
  int attention_window = 0;        // number of last queries looked through; 0 = none
  bool query_moments = false;      // mean and covariance of the queries before RoPE
  int moments_skip_first = 0;      // queries with an ordinal below this stay out of the moments
  bool output_projection = false;  // W_o of the layer

  bool operator==(const Needs&) const = default;
};

// The cells of one KV head in one layer, ascending by ordinal.
struct HeadView {
  std::span<const Ordinal> ordinals;  // [n_cells]
  std::span<const SpanId> spans;      // [n_cells]
  std::span<const float> keys;        // [head_dim, n_cells] as cached, after RoPE
  std::span<const float> values;      // [head_dim, n_cells]
  // Sum over the group's query heads and over all queries that have run since the cell's birth of
  // the softmax weight on the cell.  [n_cells]
  std::span<const float> attention_sum;
  // Sum over the window's queries of the softmax weight on each cell, one row per query head of the
  // group.  [n_cells, group_size]; the window's queries attend causally.
  std::span<const float> attention_window;
  // Queries before RoPE (after q_norm), one entry per query head of the group.
  std::span<const float> query_mean;  // [head_dim, group_size]
  std::span<const float>
      query_covariance;  // [head_dim, head_dim, group_size], divided by the count

  size_t n_cells() const { return ordinals.size(); }
};

// One layer of one sequence; valid until the next layer is asked for.
struct LayerView {
  int layer = 0;
  bool is_sliding = false;
  int window = 0;                   // of a sliding layer, in ordinals
  std::span<const HeadView> heads;  // [n_kv_heads]
  std::span<const Ordinal>
      window_queries;            // ordinals of the queries behind attention_window, ascending
  int64_t n_moment_queries = 0;  // queries behind the moments
  std::span<const float>
      rope_frequencies;  // [head_dim / 2] radians per position, for expected attention
  std::span<const float> output_projection;  // [n_embd, head_dim, n_q_heads]
};

struct CacheShape {
  int n_layers = 0;
  int n_q_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int n_embd = 0;
  float attention_scale = 0.0F;
  size_t cell_bytes = 0;         // K and V of one cell as stored
  std::vector<bool> is_sliding;  // [n_layers]

  int group_size() const { return n_q_heads / n_kv_heads; }
};

struct SpanInfo {
  Role role = Role::kTemplate;
  int turn = 0;                // from 0
  std::string instruction_id;  // of an instruction span, or ""
};

enum class EventKind { kPromptEnd, kTurnEnd, kEveryN, kCap, kPromptBlock };

// Where in a conversation an event happens.
struct EventInfo {
  EventKind kind = EventKind::kTurnEnd;
  int event_index = 0;    // of this sequence, from 0
  int turn = 0;           // from 0
  int64_t n_logical = 0;  // tokens the sequence has seen: the next token's ordinal
  int64_t n_prompt = 0;   // tokens of the newest prompt (this turn's new tokens before the reply)
  Ordinal turn_begin;     // first ordinal of the newest turn
  // Cells about to be appended that must fit in the budget too: 1 at a cap while decoding, so that
  // at most budget cells exist at every step; otherwise 0.
  int64_t n_incoming = 0;
  std::span<const SpanInfo> spans;  // indexed by SpanId
};

// Gives one layer after the other, so that only one layer's keys and values exist as float32.
class CacheSource {
 public:
  virtual ~CacheSource() = default;
  virtual LayerView layer(int layer) = 0;
  // Cells of every head of a layer, without filling a view where the source can do that.
  virtual std::vector<size_t> cell_counts(int layer_index) {
    std::vector<size_t> counts;
    for (const HeadView& head : layer(layer_index).heads) counts.push_back(head.n_cells());
    return counts;
  }
};

// Which cells stay.  kept[layer][kv_head]: indices into the head's cells, ascending and unique.
struct EvictionPlan {
  std::vector<std::vector<std::vector<uint32_t>>> kept;
  // What a person should know about this event, such as an allocator that had to fall back.
  std::vector<std::string> notices;
};

}  // namespace ebb::policy
