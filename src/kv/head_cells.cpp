#include "kv/head_cells.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "kv/cell_copy.h"

namespace ebb::kv {
namespace {

// The one index below n that an ascending list of all others leaves out.
uint32_t missing_index(std::span<const uint32_t> kept) {
  uint32_t low = 0;
  uint32_t high = static_cast<uint32_t>(kept.size());
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (kept[middle] == middle) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// How many neighbours a list of indices starts with.  Requires: not empty, ascending, unique.
size_t run_length(std::span<const uint32_t> indices) {
  size_t n = 1;
  while (n < indices.size() && indices[n] == indices[0] + n) ++n;
  return n;
}

}  // namespace

HeadCells::HeadCells(const HeadCells& other)
    : pool_(other.pool_),
      parts_(other.parts_),
      n_cells_(other.n_cells_),
      n_skipped_(other.n_skipped_),
      pos_shift_(other.pos_shift_),
      derives_keys_(other.derives_keys_) {
  for (const Part& part : parts_) {
    ++part.page->n_refs;
    if (part.keys != nullptr) ++part.keys->n_refs;
  }
}

HeadCells::HeadCells(HeadCells&& other) noexcept
    : pool_(other.pool_),
      parts_(std::exchange(other.parts_, {})),
      n_cells_(std::exchange(other.n_cells_, 0)),
      n_skipped_(std::exchange(other.n_skipped_, 0)),
      pos_shift_(std::exchange(other.pos_shift_, 0)),
      derives_keys_(std::exchange(other.derives_keys_, false)) {}

HeadCells& HeadCells::operator=(HeadCells other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(parts_, other.parts_);
  std::swap(n_cells_, other.n_cells_);
  std::swap(n_skipped_, other.n_skipped_);
  std::swap(pos_shift_, other.pos_shift_);
  std::swap(derives_keys_, other.derives_keys_);
  return *this;
}

HeadCells::~HeadCells() { clear(); }

void HeadCells::release(const Part& part) {
  pool_->unref(part.page);
  if (part.keys != nullptr) pool_->unref(part.keys);
}

void HeadCells::clear() {
  for (const Part& part : parts_) release(part);
  parts_.clear();
  n_cells_ = 0;
  n_skipped_ = 0;
}

template <typename Visit>
void HeadCells::for_each(Visit visit) const {
  uint32_t first = n_skipped_;
  for (const Part& part : parts_) {
    visit(part, first, part.n_cells);
    first = 0;
  }
}

// Notes what the page holds, after a change of it.
void HeadCells::describe(Part& part) {
  const Page& page = *part.page;
  part.key_data = part.keys != nullptr ? part.keys->data : page.data;
  part.page_data = page.data;
  part.n_cells = page.n_cells;
  part.has_hidden = page.has_hidden;
  if (page.n_cells == 0) return;
  part.first = page.ordinals.front();
  part.last = page.ordinals.back();
  part.span = page.spans.front();
  part.has_one_span = std::all_of(page.spans.begin(), page.spans.end(),
                                  [&](SpanId span) { return span == part.span; });
}

HeadCells::Part& HeadCells::add_part(Page* page) {
  Part& part = parts_.emplace_back();
  part.page = page;
  describe(part);
  return part;
}

// Makes a page writable by this sequence: one that another fork also holds is copied.
void HeadCells::own(Part& part) {
  const bool shares_page = part.page->n_refs > 1;
  const bool shares_keys = part.keys != nullptr && part.keys->n_refs > 1;
  if (!shares_page && !shares_keys) return;
  const CellFormat& format = pool_->format();
  if (shares_page) {
    Page* copy = pool_->make_page();
    std::memcpy(copy->data, part.page->data, format.page_bytes());
    copy->n_cells = part.page->n_cells;
    copy->ordinals = part.page->ordinals;
    copy->spans = part.page->spans;
    copy->hidden = part.page->hidden;
    copy->has_hidden = part.page->has_hidden;
    pool_->unref(part.page);
    part.page = copy;
    describe(part);  // also where there is no memory for the keys below
  }
  if (shares_keys) {
    KeyPage* copy = pool_->make_key_page();
    std::memcpy(copy->data, part.keys->data, format.key_page_bytes());
    pool_->unref(part.keys);
    part.keys = copy;
  }
  describe(part);
}

void HeadCells::ask_for_list() const {
  if (!parts_.empty()) __builtin_prefetch(&parts_.back());
}

void HeadCells::ask_for_tail() const {
  if (parts_.empty()) return;
  const auto* page = reinterpret_cast<const std::byte*>(parts_.back().page);
  __builtin_prefetch(page);
  __builtin_prefetch(page + 64);
}

NewCell HeadCells::append(Ordinal ordinal, SpanId span) {
  const uint32_t capacity = pool_->format().cells_per_page();
  if (parts_.empty() || parts_.back().n_cells == capacity) {
    if (parts_.size() == parts_.capacity()) parts_.reserve(2 * parts_.size() + 1);
    Part part;
    part.page = pool_->make_page();
    try {
      if (derives_keys_) part.keys = pool_->make_key_page();
    } catch (...) {
      pool_->unref(part.page);
      throw;
    }
    describe(part);
    parts_.push_back(part);
  } else {
    EBB_DCHECK(parts_.back().last < ordinal);
    own(parts_.back());
  }
  // Where it was empty a part was added above.
  // cppcheck-suppress containerOutOfBounds
  Part& tail = parts_.back();
  Page& page = *tail.page;
  page.ordinals.push_back(ordinal);
  page.spans.push_back(span);
  page.hidden.push_back(0);
  if (tail.n_cells++ == 0) {
    tail.first = ordinal;
    tail.span = span;
  }
  tail.last = ordinal;
  tail.has_one_span = tail.has_one_span && span == tail.span;
  ++n_cells_;
  return {tail.page, tail.keys, page.n_cells++};
}

void HeadCells::truncate(uint32_t n) {
  EBB_CHECK(n <= n_cells_);
  for (; n > 0; --n) {
    Page& page = *parts_.back().page;
    EBB_CHECK(page.n_refs == 1 && page.n_cells > 0);
    --page.n_cells;
    page.ordinals.pop_back();
    page.spans.pop_back();
    page.hidden.pop_back();
    --n_cells_;
    describe(parts_.back());
    if (page.n_cells == 0) {
      release(parts_.back());
      parts_.pop_back();
    }
  }
}

uint32_t HeadCells::drop_invisible(Ordinal next, uint32_t window) {
  uint32_t n_dropped = 0;
  size_t n_pages = 0;
  bool is_done = false;
  while (n_pages < parts_.size() && !is_done) {
    const Page& page = *parts_[n_pages].page;
    while (n_skipped_ < page.n_cells && next.value - page.ordinals[n_skipped_].value >= window) {
      ++n_skipped_;
      ++n_dropped;
    }
    is_done = n_skipped_ < page.n_cells;
    if (!is_done) {
      release(parts_[n_pages]);
      ++n_pages;
      n_skipped_ = 0;
    }
  }
  parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(n_pages));
  n_cells_ -= n_dropped;
  return n_dropped;
}

// A cap that keeps sinks drops the cell behind them at every step. Whether a fork shares the pages
// decides nothing here: what a sequence holds must not depend on company.
bool HeadCells::drop_near_front(uint32_t index) {
  constexpr uint32_t kFew = 16;
  if (index >= kFew || derives_keys_) return false;
  struct Place {
    Part* part;
    uint32_t cell;
  };
  std::array<Place, kFew> places{};
  uint32_t n_found = 0;
  uint32_t cell = n_skipped_;
  for (Part& part : parts_) {
    const uint32_t n_here = part.n_cells - cell;
    if (index > 0 && n_found + n_here > 1) own(part);  // a cell behind the first is written
    for (; cell < part.n_cells && n_found <= index; ++cell) {
      places[n_found++] = {&part, cell};
    }
    if (n_found > index) break;
    cell = 0;
  }
  for (uint32_t i = index; i > 0;) {
    Part& part = *places[i].part;
    uint32_t first = i;
    while (first > 0 && places[first - 1].part == &part) --first;
    move_cells_up(pool_->format(), *part.page, places[first].cell, i - first);
    if (first > 0) {
      const Place& before = places[first - 1];
      move_cell(pool_->format(), *before.part->page, before.cell, *part.page, places[first].cell);
    }
    describe(part);
    i = first > 0 ? first - 1 : 0;
  }
  EBB_DCHECK(n_skipped_ < parts_.front().n_cells);
  ++n_skipped_;
  --n_cells_;
  if (n_skipped_ == parts_.front().n_cells) {
    release(parts_.front());
    parts_.erase(parts_.begin());
    n_skipped_ = 0;
  }
  return true;
}

void HeadCells::keep(std::span<const uint32_t> kept) {
  if (kept.size() == n_cells_) return;
  EBB_CHECK(kept.empty() || kept.back() < n_cells_);
  if (kept.size() + 1 == n_cells_ && drop_near_front(missing_index(kept))) return;
  const CellFormat& format = pool_->format();
  HeadCells out(*pool_);
  out.pos_shift_ = pos_shift_;
  out.derives_keys_ = derives_keys_;
  size_t next = 0;       // into kept
  uint32_t base = 0;     // index of the page's first visible cell
  bool is_open = false;  // the last page of `out` is fresh and may take more cells
  for_each([&](const Part& part, uint32_t first, uint32_t end) {
    const uint32_t n_here = end - first;
    const size_t begin = next;
    while (next < kept.size() && kept[next] < base + n_here) ++next;
    const size_t n_kept = next - begin;
    // Sharing a whole page saves the copy; a nearly empty fresh page before it would waste memory.
    const bool is_roomy = is_open && out.parts_.back().n_cells < format.cells_per_page() / 2;
    if (n_kept == n_here && first == 0 && !is_roomy && n_here > 0) {
      out.add_part(part.page);
      ++part.page->n_refs;
      is_open = false;
    } else {
      for (size_t i = begin; i < next;) {
        if (!is_open || out.parts_.back().n_cells == format.cells_per_page()) {
          out.add_part(pool_->make_page());
          is_open = true;
        }
        Part& tail = out.parts_.back();
        Page& page = *tail.page;
        const size_t room = std::min(next, i + (format.cells_per_page() - page.n_cells));
        const size_t n_run = run_length(kept.subspan(i, room - i));
        copy_cells(format, *part.page, first + (kept[i] - base), static_cast<uint32_t>(n_run),
                   page);
        describe(tail);
        i += n_run;
      }
    }
    base += n_here;
  });
  out.n_cells_ = static_cast<uint32_t>(kept.size());
  *this = std::move(out);
}

void HeadCells::renumber_compact(Ordinal next, const KeyTurner& turner) {
  int32_t position = 0;
  std::vector<int32_t> deltas;
  uint32_t first = n_skipped_;
  pos_shift_ = static_cast<int32_t>(n_cells_) - static_cast<int32_t>(next.value);
  derives_keys_ = pos_shift_ != 0;
  for (Part& part : parts_) {
    deltas.assign(part.n_cells, 0);
    bool moves = false;
    for (uint32_t cell = first; cell < part.n_cells; ++cell, ++position) {
      deltas[cell] = position - static_cast<int32_t>(part.page->ordinals[cell].value);
      moves = moves || deltas[cell] != 0;
    }
    first = 0;
    if (part.keys != nullptr) pool_->unref(std::exchange(part.keys, nullptr));
    describe(part);
    // The tail page goes on growing with turned keys, so it needs its own even where nothing moved
    // yet.
    const bool is_growing = derives_keys_ && &part == &parts_.back();
    if (!moves && !is_growing) continue;
    part.keys = pool_->make_key_page();
    describe(part);
    turner(*part.page, deltas, part.keys->data);
  }
}

void HeadCells::renumber_colliding(Ordinal next) {
  pos_shift_ = static_cast<int32_t>(n_cells_) - static_cast<int32_t>(next.value);
}

void HeadCells::hide(std::span<const uint32_t> indices) {
  // The flag lives in the page, so pages of other sequences must not see it.
  for (Part& part : parts_) own(part);
  size_t next = 0;
  uint32_t base = 0;
  for_each([&](const Part& part, uint32_t first, uint32_t end) {
    for (; next < indices.size() && indices[next] < base + (end - first); ++next) {
      part.page->hidden[first + (indices[next] - base)] = 1;
      part.page->has_hidden = true;
    }
    base += end - first;
  });
  EBB_CHECK(next == indices.size());
  for (Part& part : parts_) describe(part);
}

void HeadCells::collect_ordinals(std::vector<Ordinal>& out) const {
  out.resize(n_cells_);
  Ordinal* to = out.data();
  for_each([&](const Part& part, uint32_t first, uint32_t end) {
    const uint32_t n = end - first;
    if (first > 0 || part.has_gaps()) {
      std::copy_n(part.page->ordinals.begin() + first, n, to);
    } else {
      for (uint32_t i = 0; i < n; ++i) to[i].value = part.first.value + i;
    }
    to += n;
  });
}

void HeadCells::collect_spans(std::vector<SpanId>& out) const {
  out.resize(n_cells_);
  SpanId* to = out.data();
  for_each([&](const Part& part, uint32_t first, uint32_t end) {
    const uint32_t n = end - first;
    const uint16_t span = part.span.value;
    if (part.has_one_span) {
      for (uint32_t i = 0; i < n; ++i) to[i].value = span;
    } else {
      std::copy_n(part.page->spans.begin() + first, n, to);
    }
    to += n;
  });
}

size_t HeadCells::bytes_alone() const {
  size_t bytes = 0;
  for (const Part& part : parts_) {
    bytes += pool_->page_cost() + (part.keys != nullptr ? pool_->key_page_cost() : 0);
  }
  return bytes;
}

}  // namespace ebb::kv
