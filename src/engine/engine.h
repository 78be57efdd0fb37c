// Runs one model over one batch of sequences. All computing of a process goes through one engine
// thread (the caller of step()); it knows cells and numerics, not arms, conversations or files.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "engine/options.h"
#include "engine/sequence.h"
#include "model/model.h"
#include "policy/view.h"

namespace ebb::engine {

enum class LogitRows { kNone, kLast, kAll };

// Tokens that one sequence takes in a step.
struct StepItem {
  Sequence* sequence = nullptr;
  std::span<const int32_t> ids;
  std::span<const SpanId> spans;  // [ids.size()], or empty: all of span 0
  LogitRows logits = LogitRows::kLast;
  // [ids.size()], 1 = a query that counts for the observed window of policies; empty = all do.
  std::span<const uint8_t> observed = {};
};

// Memory of logits between steps: an answer may be many megabytes, and to have that much from the
// system anew for each step costs a tenth of it.  Threads: any.
class LogitPool {
 public:
  std::vector<float> take(size_t n);  // n values of any content
  void give(std::vector<float> values) noexcept;

 private:
  std::mutex mutex_;
  std::vector<float> spare_;
};

// Logits of the rows that were asked for, item by item.
struct StepLogits {
  StepLogits() = default;
  StepLogits(StepLogits&&) = default;
  StepLogits& operator=(StepLogits&&) = default;
  ~StepLogits() {
    if (pool) pool->give(std::move(values));
  }

  size_t n_vocab = 0;
  std::vector<float> values;      // [n_vocab, n_rows]
  std::vector<size_t> first_row;  // [n_items + 1]

  std::span<const float> row(size_t item, size_t i = 0) const {
    return std::span(values).subspan((first_row[item] + i) * n_vocab, n_vocab);
  }
  size_t n_rows(size_t item) const { return first_row[item + 1] - first_row[item]; }

  std::shared_ptr<LogitPool> pool;  // takes the values back
};

// What the engine holds besides cells, in bytes.
struct EngineMemory {
  size_t weights_mapped = 0;  // in the model file
  size_t weights_packed = 0;  // our own layout
  size_t compute = 0;         // activations of the largest step so far
  size_t cells_live = 0;      // pages of all sequences, shared ones once
};

class Engine {
 public:
  // Throws: kUsage for options that contradict each other, kOutOfMemory.
  Engine(std::shared_ptr<const model::Model> model, const EngineOptions& options);
  // Memory that the constructor will take beside the mapped file.
  static size_t predict_weights_bytes(const model::Model& model, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const model::ModelConfig& config() const;
  const model::Model& model() const;
  const EngineOptions& options() const;
  int n_threads() const;
  // Instruction set of the linear layers, or "ggml".
  std::string_view kernels_name() const;

  // needs: signals that the sequence gathers from its first token on.
  Sequence make_sequence(PositionMode mode, const policy::Needs& needs = {}) const;

  // Appends each item's tokens to its sequence, attends, and returns the logits wanted.
  // Requires: every sequence at most once; ids in [0, n_vocab).  Throws: kUsage for a bad id,
  // kOutOfMemory, kBackend; then the sequences are as they were before the chunk that failed, what
  // they gather for policies included. Only where it fails in the middle of computing (ggml, or
  // an operator without memory of its own) does a part of the step stay in those signals: such a
  // sequence takes no further step (kInternal); one that gathers nothing does.
  StepLogits step(std::span<const StepItem> items);

  // Removes cells for good.
  kv::CellLoss evict(Sequence& sequence, const policy::EvictionPlan& plan) const;
  // Masks them instead: the oracle that evict() is tested against.
  void hide_all_but(Sequence& sequence, const policy::EvictionPlan& plan) const;

  // Reads one head's cells as float32 in the channel order of HF transformers.
  // Shape: keys and values [head_dim, n_cells]; keys as attention uses them, after RoPE.
  struct HeadContent {
    std::vector<Ordinal> ordinals;
    std::vector<SpanId> spans;
    std::vector<float> keys;
    std::vector<float> values;
  };
  void read_head(const Sequence& sequence, int layer, int kv_head, HeadContent& out) const;

  // Sum over the sequence's last n_queries (those observed, or where there are none any)
  // of the softmax weights on one head's cells, one row per query head of the group. Shape: out
  // [n_cells, group_size].  Returns the ordinals of the queries, ascending.
  std::vector<Ordinal> window_weights(const Sequence& sequence, int layer, int kv_head,
                                      int n_queries, std::vector<float>& out) const;
  // Radians per position of a layer's channel pairs.  [head_dim / 2]
  std::span<const float> rope_frequencies(int layer) const;

  policy::CacheShape cache_shape() const;
  EngineMemory memory() const;
  // Bytes of activations and logits that a step of n_rows needs at most, before any is run.
  size_t predict_compute_bytes(int n_rows, int n_logit_rows) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb::engine
