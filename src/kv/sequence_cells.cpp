#include "kv/sequence_cells.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.h"

namespace ebb::kv {
namespace {

// Without an early end, so that the compiler makes vectors of it.
bool is_ascending(std::span<const uint32_t> cells) {
  unsigned n_wrong = 0;
  for (size_t i = 1; i < cells.size(); ++i) n_wrong += cells[i - 1] >= cells[i] ? 1U : 0U;
  return n_wrong == 0;
}

}  // namespace

SequenceCells::SequenceCells(PagePool& pool, StoreShape shape, PositionMode mode)
    : pool_(&pool), shape_(std::move(shape)), mode_(mode) {
  EBB_CHECK(shape_.n_kv_heads > 0 && shape_.n_layers() > 0);
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    auto cells = std::make_shared<Layer>();
    cells->heads.assign(static_cast<size_t>(shape_.n_kv_heads), HeadCells(pool));
    layers_.push_back(std::move(cells));
  }
}

SequenceCells::~SequenceCells() {
  if (layers_.empty()) return;  // moved from
  layers_.clear();
  pool_->trim();
}

bool SequenceCells::is_renumbered() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const auto& layer) {
    return std::any_of(layer->heads.begin(), layer->heads.end(),
                       [](const HeadCells& cells) { return cells.pos_shift() != 0; });
  });
}

SequenceCells SequenceCells::fork(PositionMode mode) const {
  EBB_CHECK(mode == mode_ || !is_renumbered());
  SequenceCells out(*pool_, StoreShape{1, {0}}, mode);
  out.shape_ = shape_;
  out.next_ = next_;
  out.layers_ = layers_;
  return out;
}

// Copy-on-write: a layer that a fork also holds is copied (pages stay shared) before it changes.
HeadCells& SequenceCells::writable(int layer, int kv_head) {
  std::shared_ptr<Layer>& cells = layers_[static_cast<size_t>(layer)];
  if (cells.use_count() > 1) cells = std::make_shared<Layer>(*cells);
  return cells->heads[static_cast<size_t>(kv_head)];
}

// Each append waits for memory several times over, one address leading to the next: so each step of
// the way is asked for one layer after the one before.
void SequenceCells::ask_for_heads(int layer) const {
  const auto visit = [&](int at, auto ask) {
    if (at >= shape_.n_layers()) return;
    for (const HeadCells& cells : layers_[static_cast<size_t>(at)]->heads) ask(cells);
  };
  visit(layer + 3, [](const HeadCells& cells) { __builtin_prefetch(&cells); });
  visit(layer + 2, [](const HeadCells& cells) { cells.ask_for_list(); });
  visit(layer + 1, [](const HeadCells& cells) { cells.ask_for_tail(); });
}

void SequenceCells::append(std::span<const SpanId> spans) {
  const auto n_new = static_cast<uint32_t>(spans.size());
  std::vector<uint32_t> n_done;
  n_done.reserve(layers_.size() * static_cast<size_t>(shape_.n_kv_heads));
  const auto take_back = [&] {
    for (size_t i = 0; i < n_done.size(); ++i) {
      const int n_heads = shape_.n_kv_heads;
      writable(static_cast<int>(i) / n_heads, static_cast<int>(i) % n_heads).truncate(n_done[i]);
    }
  };
  try {
    for (int layer = 0; layer < shape_.n_layers(); ++layer) {
      ask_for_heads(layer);
      for (int head = 0; head < shape_.n_kv_heads; ++head) {
        HeadCells& cells = writable(layer, head);
        n_done.push_back(0);
        for (uint32_t i = 0; i < n_new; ++i) {
          cells.append(Ordinal{next_.value + i}, spans[i]);
          ++n_done.back();
        }
      }
    }
  } catch (const std::bad_alloc&) {
    take_back();
    throw Error::make(ErrorKind::kOutOfMemory, "no memory for the cells of {} more tokens", n_new);
  } catch (...) {
    take_back();
    throw;
  }
  next_.value += n_new;
}

void SequenceCells::truncate(uint32_t n) {
  EBB_CHECK(n <= next_.value);
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    for (int head = 0; head < shape_.n_kv_heads; ++head) writable(layer, head).truncate(n);
  }
  next_.value -= n;
}

uint64_t SequenceCells::drop_invisible() {
  uint64_t n_dropped = 0;
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    const uint32_t window = shape_.windows[static_cast<size_t>(layer)];
    if (window == 0 || next_.value < window) continue;
    for (int head = 0; head < shape_.n_kv_heads; ++head) {
      n_dropped += writable(layer, head).drop_invisible(next_, window);
    }
  }
  return n_dropped;
}

void SequenceCells::check_kept(const KeptCells& kept) const {
  EBB_CHECK(kept.size() == layers_.size());
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    const auto& heads = kept[static_cast<size_t>(layer)];
    EBB_CHECK(heads.size() == static_cast<size_t>(shape_.n_kv_heads));
    for (int h = 0; h < shape_.n_kv_heads; ++h) {
      const std::vector<uint32_t>& cells = heads[static_cast<size_t>(h)];
      EBB_CHECK(is_ascending(cells));
      EBB_CHECK(cells.empty() || cells.back() < head(layer, h).n_cells());
    }
  }
}

CellLoss SequenceCells::evict(const KeptCells& kept, const LayerKeyTurner& turner) {
  check_kept(kept);
  CellLoss loss;
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    for (int h = 0; h < shape_.n_kv_heads; ++h) {
      const auto& cells = kept[static_cast<size_t>(layer)][static_cast<size_t>(h)];
      const uint32_t n_before = head(layer, h).n_cells();
      if (cells.size() == n_before) continue;
      HeadCells& mine = writable(layer, h);
      mine.keep(cells);
      loss.n_by_treatment += n_before - cells.size();
      if (mode_ == PositionMode::kCompact) {
        mine.renumber_compact(next_, [&](const Page& page, std::span<const int32_t> deltas,
                                         std::byte* dst) { turner(layer, page, deltas, dst); });
      } else if (mode_ == PositionMode::kColliding) {
        mine.renumber_colliding(next_);
      }
    }
  }
  pool_->trim();
  return loss;
}

void SequenceCells::hide_all_but(const KeptCells& kept) {
  check_kept(kept);
  std::vector<uint32_t> gone;
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    for (int h = 0; h < shape_.n_kv_heads; ++h) {
      const auto& cells = kept[static_cast<size_t>(layer)][static_cast<size_t>(h)];
      gone.clear();
      size_t next = 0;
      for (uint32_t i = 0; i < head(layer, h).n_cells(); ++i) {
        if (next < cells.size() && cells[next] == i) {
          ++next;
        } else {
          gone.push_back(i);
        }
      }
      if (!gone.empty()) writable(layer, h).hide(gone);
    }
  }
}

LayerCount SequenceCells::count(int layer) const {
  LayerCount out;
  out.n_min = head(layer, 0).n_cells();
  for (int h = 0; h < shape_.n_kv_heads; ++h) {
    const uint32_t n = head(layer, h).n_cells();
    out.n_min = std::min(out.n_min, n);
    out.n_max = std::max(out.n_max, n);
    out.n_total += n;
  }
  out.n_mean = static_cast<double>(out.n_total) / shape_.n_kv_heads;
  return out;
}

uint64_t SequenceCells::n_cells_total() const {
  uint64_t n = 0;
  for (int layer = 0; layer < shape_.n_layers(); ++layer) n += count(layer).n_total;
  return n;
}

size_t SequenceCells::bytes_alone() const {
  size_t bytes = 0;
  for (int layer = 0; layer < shape_.n_layers(); ++layer) {
    for (int h = 0; h < shape_.n_kv_heads; ++h) bytes += head(layer, h).bytes_alone();
  }
  return bytes;
}

}  // namespace ebb::kv
