// One conversation as the engine sees it: its tokens, their spans, and its own view of the cells.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/signals.h"
#include "kv/sequence_cells.h"

namespace ebb::engine {

// Move-only; fork() makes the copy.
class Sequence {
 public:
  // signals: what a policy needs from the forward pass, or null.
  explicit Sequence(kv::SequenceCells cells, std::unique_ptr<SequenceSignals> signals = nullptr)
      : cells_(std::move(cells)), signals_(std::move(signals)) {}
  Sequence(Sequence&&) = default;
  Sequence& operator=(Sequence&&) = default;

  Sequence fork() const;

  // For another treatment: as if the sequence had gathered for `needs` alone, in that mode.
  // Requires: policy::covers() of what this one gathers; the same mode, or nothing renumbered.
  Sequence fork(PositionMode mode, const policy::Needs& needs, WindowOf window) const;

  // Whether no cell has gone except by leaving the window of a sliding layer.
  bool is_whole() const;

  // Every token that has been computed, evicted or not.  Index = ordinal.
  const std::vector<int32_t>& ids() const { return ids_; }
  const std::vector<SpanId>& span_of_token() const { return span_of_token_; }
  const kv::SequenceCells& cells() const { return cells_; }
  Ordinal next_ordinal() const { return cells_.next_ordinal(); }
  // Requires: no step of the sequence broke off while it was computed (Engine::step).
  const SequenceSignals* signals() const {
    EBB_CHECK(signals_ == nullptr || !signals_->is_torn());
    return signals_.get();
  }
  // Cells of sliding layers that no later query could see any more, since the beginning.
  uint64_t n_left_window() const { return n_left_window_; }
  // Cells with slack, derived keys and signals, as if nothing were shared.
  size_t bytes_alone() const { return cells_.bytes_alone() + (signals_ ? signals_->bytes() : 0); }

 private:
  friend class Engine;
  kv::SequenceCells cells_;
  std::unique_ptr<SequenceSignals> signals_;
  std::vector<int32_t> ids_;
  uint64_t n_left_window_ = 0;
  std::vector<SpanId> span_of_token_;
};

}  // namespace ebb::engine
