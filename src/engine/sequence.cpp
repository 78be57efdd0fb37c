#include "engine/sequence.h"

#include "base/error.h"

namespace ebb::engine {

Sequence Sequence::fork() const {
  Sequence out(cells_.fork(), signals_ ? std::make_unique<SequenceSignals>(*signals_) : nullptr);
  out.ids_ = ids_;
  out.n_left_window_ = n_left_window_;
  out.span_of_token_ = span_of_token_;
  return out;
}

Sequence Sequence::fork(PositionMode mode, const policy::Needs& needs, WindowOf window) const {
  std::unique_ptr<SequenceSignals> signals;
  if (any_signal(needs)) {
    EBB_CHECK(signals_ != nullptr);
    signals = std::make_unique<SequenceSignals>(*signals_, needs, window);
  }
  Sequence out(cells_.fork(mode), std::move(signals));
  out.ids_ = ids_;
  out.n_left_window_ = n_left_window_;
  out.span_of_token_ = span_of_token_;
  return out;
}

bool Sequence::is_whole() const {
  const kv::StoreShape& shape = cells_.shape();
  const uint64_t n_heads = static_cast<uint64_t>(shape.n_layers() * shape.n_kv_heads);
  return cells_.n_cells_total() + n_left_window_ == n_heads * next_ordinal().value;
}

}  // namespace ebb::engine
