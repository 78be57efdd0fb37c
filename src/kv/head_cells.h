// The cells that one sequence sees in one layer and KV head: a list of pages, ascending by ordinal.
// Copies share pages; writing to a shared tail copies that page first.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kv/page.h"

namespace ebb::kv {

// Writes dst = the keys of `page`, each turned by deltas[cell] positions from where it was stored.
// The engine supplies it: the store knows no rotary embedding.
using KeyTurner =
    std::function<void(const Page& page, std::span<const int32_t> deltas, std::byte* dst)>;

// Where a new cell lies: the engine writes its key and value there during the step.
struct NewCell {
  Page* page = nullptr;
  KeyPage* keys = nullptr;  // null: the page's own keys serve
  uint32_t cell = 0;
};

class HeadCells {
 public:
  struct Part {
    Page* page = nullptr;
    KeyPage* keys = nullptr;  // derived keys of compact mode, or null
    // What every step wants to know of the page, side by side: the pages themselves lie far apart,
    // and to look at each of thousands costs more than a small layer does.
    const std::byte* key_data = nullptr;  // the derived keys where there are any
    const std::byte* page_data = nullptr;
    uint32_t n_cells = 0;
    Ordinal first;  // of cells 0 and n_cells - 1
    Ordinal last;
    bool has_hidden = false;
    bool has_one_span = true;  // all cells belong to `span`
    SpanId span;

    bool has_gaps() const { return last.value - first.value != n_cells - 1; }
  };

  explicit HeadCells(PagePool& pool) : pool_(&pool) {}
  HeadCells(const HeadCells& other);  // shares every page; needed for copy-on-write of a layer
  HeadCells(HeadCells&& other) noexcept;
  HeadCells& operator=(HeadCells other) noexcept;
  ~HeadCells();

  uint32_t n_cells() const { return n_cells_; }
  std::span<const Part> parts() const { return parts_; }
  // Cells of the first page that are gone although the page is still there.
  uint32_t n_skipped() const { return n_skipped_; }
  // A new token's rope_pos is its ordinal plus this.
  int32_t pos_shift() const { return pos_shift_; }

  // What append() will look at, asked for ahead of it: first the list of pages,
  // then the last page itself. Speed only.
  void ask_for_list() const;
  void ask_for_tail() const;
  // Adds one cell without content.  Throws: kOutOfMemory, leaving the cells as they were.
  NewCell append(Ordinal ordinal, SpanId span);
  // Takes back the last n cells (after a failed step).  Requires: no copy was made since they came.
  void truncate(uint32_t n);
  // Removes cells from the front that no query from `next` on can see: those at distance >= window.
  // Returns how many.
  uint32_t drop_invisible(Ordinal next, uint32_t window);
  // Keeps exactly the cells kept[i] (indices, ascending, unique). Wholly kept pages are shared, the
  // rest is copied together into fresh pages. A single cell near the front goes in place: the few
  // cells before it move up.
  void keep(std::span<const uint32_t> kept);
  // Sets the shift of new tokens; with `turner`, derives keys at 0..n-1 from the stored ones.
  void renumber_compact(Ordinal next, const KeyTurner& turner);
  void renumber_colliding(Ordinal next);
  // Masks cells for every later query without removing them: the oracle that eviction is tested
  // against.
  void hide(std::span<const uint32_t> indices);

  void collect_ordinals(std::vector<Ordinal>& out) const;
  void collect_spans(std::vector<SpanId>& out) const;
  // What these cells would cost alone, shared pages counted in full.
  size_t bytes_alone() const;

 private:
  template <typename Visit>
  void for_each(Visit visit) const;  // visit(part, first cell, end cell)
  void own(Part& part);
  static void describe(Part& part);
  Part& add_part(Page* page);
  void release(const Part& part);
  void clear();
  bool drop_near_front(uint32_t index);

  PagePool* pool_;
  std::vector<Part> parts_;
  uint32_t n_cells_ = 0;
  uint32_t n_skipped_ = 0;
  int32_t pos_shift_ = 0;
  bool derives_keys_ = false;  // compact mode after its first event: attention reads turned keys
};

}  // namespace ebb::kv
