// What policies want to know and only the forward pass can tell: sums of attention weights, the
// last queries, moments of queries. Gathered per sequence, copied by forks, compacted with the
// cells. It follows the cells; it never changes a logit.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "kv/sequence_cells.h"
#include "model/config.h"
#include "policy/view.h"

namespace ebb::engine {

// The last queries of a sequence, before RoPE, in the file's channel order.
class QueryRing {
 public:
  QueryRing(int capacity, const model::ModelConfig& config);

  // Gives the next token a place; -1 where the ring holds nothing.
  int place(Ordinal ordinal) noexcept;
  float* row(int layer, int place);
  const float* row(int layer, int place) const;
  // Places from the oldest to the newest.
  std::vector<int> places() const;
  // A ring of its own with the newest `capacity` queries.  Requires: no more than this one's.
  QueryRing newest(int capacity, const model::ModelConfig& config) const;
  Ordinal ordinal(int place) const { return ordinals_[static_cast<size_t>(place)]; }
  size_t bytes() const;

 private:
  size_t capacity_;
  size_t width_;  // n_q_heads * head_dim
  size_t n_written_ = 0;
  std::vector<Ordinal> ordinals_;         // [capacity]
  std::vector<std::vector<float>> rows_;  // [n_layers][width * capacity]
};

// Whether a policy needs anything that only the forward pass can tell.
inline bool any_signal(const policy::Needs& needs) {
  return needs.attention_sum || needs.attention_window > 0 || needs.query_moments;
}

// Which ring a fork's policy looks through.
enum class WindowOf { kObserved, kTail };

class SequenceSignals {
 public:
  SequenceSignals(const policy::Needs& needs, const model::ModelConfig& config);
  SequenceSignals(const SequenceSignals& other);  // for a fork
  SequenceSignals& operator=(const SequenceSignals&) = delete;

  // For a fork under another policy: what a sequence that gathers for `needs` alone would hold.
  // Requires: policy::covers(needs(), needs).
  SequenceSignals(const SequenceSignals& other, const policy::Needs& needs, WindowOf window);

  const policy::Needs& needs() const { return needs_; }
  bool keeps_queries() const { return needs_.attention_window > 0 || needs_.query_moments; }

  // Memory for a step of n tokens whose cells exist already.  Throws: std::bad_alloc; nothing that
  // can be read has changed then.
  void reserve_step(const kv::SequenceCells& cells, size_t n_tokens);
  // Room for the step's tokens.  observed[i] = 1: token i counts for the observed window.
  // Requires: reserve_step() for them.
  void begin_step(const kv::SequenceCells& cells, Ordinal first,
                  std::span<const uint8_t> observed) noexcept;
  // The step broke off while it was computed: parts of it are in the sums, and they stay there.
  void mark_torn() noexcept { is_torn_ = true; }
  bool is_torn() const { return is_torn_; }
  // Takes one query head's rows of the step, oldest first.  raw: row i at raw + i * stride.
  // Threads: different heads at once.
  void take_queries(int layer, int q_head, const float* raw, size_t stride);
  // Adds weights of one head's cells (in WeightSums units).  Threads: any.
  void add_weights(int layer, int kv_head, std::span<const int64_t> sums);
  // Follows the cells after some at the front left their window.
  void follow_drop(const kv::SequenceCells& cells);
  // Follows an eviction that is about to keep these cells.
  void follow_evict(const kv::KeptCells& kept);

  std::span<const int64_t> weight_sums(int layer, int kv_head) const {
    return sums_[head_at(layer, kv_head)];
  }
  const QueryRing& observed() const { return observed_; }
  const QueryRing& tail() const { return tail_; }
  // Moments of one query head in the file's channel order; the covariance is divided by the count.
  int64_t n_moment_queries() const { return n_moment_queries_; }
  void moments(int layer, int q_head, std::span<float> mean, std::span<float> covariance) const;
  size_t bytes() const;

 private:
  size_t head_at(int layer, int kv_head) const {
    return static_cast<size_t>(layer * config_->n_kv_heads + kv_head);
  }

  policy::Needs needs_;
  const model::ModelConfig* config_;
  std::vector<std::vector<int64_t>> sums_;  // [n_layers * n_kv_heads][n_cells]
  std::mutex mutex_;
  QueryRing observed_;
  QueryRing tail_;
  std::vector<int> observed_places_, tail_places_;  // of the step's tokens
  int64_t n_moment_queries_ = 0;
  size_t n_skipped_ = 0;  // of the step's first tokens, which stay out of the moments
  bool is_torn_ = false;
  std::vector<std::vector<float>> query_sums_;  // [n_layers * n_q_heads][head_dim]
  // The same, [head_dim, head_dim]: the upper triangle counts.
  std::vector<std::vector<float>> query_outers_;
};

}  // namespace ebb::engine
