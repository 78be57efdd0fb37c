// All cells of one sequence: per layer and KV head a ragged list, with copy-on-write per layer, so
// that a fork costs one pointer a layer. Knows no model and no policy; the engine says what to
// keep.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kv/head_cells.h"

namespace ebb::kv {

struct StoreShape {
  int n_kv_heads = 0;
  std::vector<uint32_t> windows;  // [n_layers] ordinals seen by a sliding layer; 0 = global

  int n_layers() const { return static_cast<int>(windows.size()); }
};

// Cells of one layer, over its heads.
struct LayerCount {
  uint32_t n_min = 0;
  uint32_t n_max = 0;
  double n_mean = 0.0;
  uint64_t n_total = 0;
};

// What went away.
struct CellLoss {
  uint64_t n_by_architecture = 0;  // left the window of a sliding layer since the event before
  uint64_t n_by_treatment = 0;
};

// kept[layer][kv_head]: indices into the head's cells, ascending and unique.
using KeptCells = std::vector<std::vector<std::vector<uint32_t>>>;
// Turns the stored keys of one layer for compact mode.
using LayerKeyTurner =
    std::function<void(int layer, const Page&, std::span<const int32_t> deltas, std::byte* dst)>;

// Move-only; fork() makes the copy. The pool must outlive it.  Threads: one thread at a time.
class SequenceCells {
 public:
  SequenceCells(PagePool& pool, StoreShape shape, PositionMode mode);
  // Gives the memory of pages that nobody else holds back to the system.
  ~SequenceCells();
  SequenceCells(SequenceCells&&) = default;
  SequenceCells& operator=(SequenceCells&&) = default;

  // The same cells under a second name.  Cost: one pointer a layer; no cell is copied.
  SequenceCells fork() const { return fork(mode_); }
  // The same under another position mode.  Requires: the same mode, or nothing renumbered so far.
  SequenceCells fork(PositionMode mode) const;

  // Room for the next tokens in every layer and head; the engine then writes keys and values.
  // Throws: kOutOfMemory, leaving the sequence as it was.
  void append(std::span<const SpanId> spans);
  // Takes back the last n tokens, after a step that failed.
  void truncate(uint32_t n);
  // Removes what no later query of a sliding layer can see.  Returns how many cells went.
  uint64_t drop_invisible();
  // Keeps the given cells, renumbers by the position mode and gives memory back.
  // Layers and heads whose cells all stay are untouched, positions included.
  CellLoss evict(const KeptCells& kept, const LayerKeyTurner& turner);
  // As evict, but the cells stay and are masked for all later queries: the oracle of evict.
  void hide_all_but(const KeptCells& kept);

  const HeadCells& head(int layer, int kv_head) const {
    return layers_[static_cast<size_t>(layer)]->heads[static_cast<size_t>(kv_head)];
  }
  Ordinal next_ordinal() const { return next_; }
  PositionMode mode() const { return mode_; }
  const StoreShape& shape() const { return shape_; }
  const CellFormat& format() const { return pool_->format(); }

  LayerCount count(int layer) const;
  uint64_t n_cells_total() const;
  size_t bytes_cells() const { return n_cells_total() * format().cell_bytes(); }
  // Pages (with slack), derived keys and bookkeeping, as if nothing were shared.
  size_t bytes_alone() const;

 private:
  struct Layer {
    std::vector<HeadCells> heads;
  };
  HeadCells& writable(int layer, int kv_head);
  void ask_for_heads(int layer) const;
  bool is_renumbered() const;
  void check_kept(const KeptCells& kept) const;

  PagePool* pool_;
  StoreShape shape_;
  PositionMode mode_;
  Ordinal next_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

}  // namespace ebb::kv
