// A reference-counted page: the cells of one head in one layer, in birth order. Pages that
// several sequences share never change; one that a sequence owns alone may grow at the tail and
// lose cells near the front.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "kv/cell_format.h"
#include "kv/page_arena.h"

namespace ebb::kv {

struct Page {
  std::byte* data = nullptr;  // keys, then values
  uint32_t n_refs = 1;
  uint32_t n_cells = 0;
  std::vector<Ordinal> ordinals;  // [n_cells]
  std::vector<SpanId> spans;      // [n_cells]
  std::vector<uint8_t>
      hidden;  // [n_cells]; 1 = masked for every query (a test oracle, not a treatment)
  bool has_hidden = false;
};

// Keys of one page rotated to other positions (compact mode). Same cells as its page.
struct KeyPage {
  std::byte* data = nullptr;
  uint32_t n_refs = 1;
};

// Makes and frees pages of one format.  Threads: one thread at a time.
class PagePool {
 public:
  explicit PagePool(CellFormat format)
      : format_(format), cells_(format.page_bytes()), keys_(format.key_page_bytes()) {}

  const CellFormat& format() const { return format_; }
  Page* make_page();
  KeyPage* make_key_page();
  void unref(Page* page);
  void unref(KeyPage* page);
  void trim();

  // Memory of one page together with what describes its cells.
  size_t page_cost() const { return cells_.page_bytes() + metadata_bytes(); }
  size_t key_page_cost() const { return keys_.page_bytes(); }
  // Physical bytes of all live pages, each counted once however many sequences share it.
  size_t bytes_live() const {
    return cells_.n_pages_live() * page_cost() + keys_.n_pages_live() * key_page_cost();
  }
  size_t n_pages_live() const { return cells_.n_pages_live(); }

 private:
  size_t metadata_bytes() const {
    return sizeof(Page) + format_.cells_per_page() * (sizeof(Ordinal) + sizeof(SpanId) + 1);
  }

  CellFormat format_;
  PageArena cells_;
  PageArena keys_;
};

}  // namespace ebb::kv
