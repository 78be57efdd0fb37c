#include "kv/cell_copy.h"

#include <algorithm>
#include <cstring>

namespace ebb::kv {
namespace {

// At most 64 bytes, by two fixed-size copies that may overlap: a call of memcpy costs more.
template <size_t kHalf>
void copy_halves(std::byte* to, const std::byte* from, size_t n) {
  std::byte first[kHalf];
  std::byte last[kHalf];
  std::memcpy(first, from, kHalf);
  std::memcpy(last, from + n - kHalf, kHalf);
  std::memcpy(to, first, kHalf);
  std::memcpy(to + n - kHalf, last, kHalf);
}

void copy_short(std::byte* to, const std::byte* from, size_t n) {
  if (n >= 32) return copy_halves<32>(to, from, n);
  if (n >= 16) return copy_halves<16>(to, from, n);
  if (n >= 8) return copy_halves<8>(to, from, n);
  if (n >= 4) return copy_halves<4>(to, from, n);
  copy_halves<2>(to, from, n);
}

}  // namespace

void copy_cells(const CellFormat& format, const Page& from, uint32_t first, uint32_t n, Page& to) {
  const size_t width = format.number_bytes();
  // Keys lie 16 cells side by side: as many at once as stay within one group on both sides.
  for (uint32_t done = 0; done < n;) {
    const uint32_t from_cell = first + done;
    const uint32_t to_cell = to.n_cells + done;
    const uint32_t room =
        CellFormat::kGroup - std::max(from_cell % CellFormat::kGroup, to_cell % CellFormat::kGroup);
    const uint32_t n_now = std::min(n - done, room);
    const std::byte* source = from.data + format.key_at(from_cell, 0) * width;
    std::byte* target = to.data + format.key_at(to_cell, 0) * width;
    const size_t stride = CellFormat::kGroup * width;
    for (int c = 0; c < format.head_dim; ++c, source += stride, target += stride) {
      copy_short(target, source, n_now * width);
    }
    done += n_now;
  }
  const size_t values = format.key_page_bytes();  // values follow the keys
  std::memcpy(to.data + values + format.value_at(to.n_cells, 0) * width,
              from.data + values + format.value_at(first, 0) * width, n * format.key_bytes());
  const auto append = [&](auto& out, const auto& in) {
    const auto begin = in.begin() + static_cast<std::ptrdiff_t>(first);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
  };
  append(to.ordinals, from.ordinals);
  append(to.spans, from.spans);
  append(to.hidden, from.hidden);
  to.has_hidden = std::find(to.hidden.begin(), to.hidden.end(), 1) != to.hidden.end();
  to.n_cells += n;
}

void move_cell(const CellFormat& format, const Page& from, uint32_t from_cell, Page& to,
               uint32_t to_cell) {
  const size_t width = format.number_bytes();
  const std::byte* source = from.data + format.key_at(from_cell, 0) * width;
  std::byte* target = to.data + format.key_at(to_cell, 0) * width;
  const size_t stride = CellFormat::kGroup * width;
  for (int c = 0; c < format.head_dim; ++c, source += stride, target += stride) {
    std::memcpy(target, source, width);
  }
  const size_t values = format.key_page_bytes();
  std::memcpy(to.data + values + format.value_at(to_cell, 0) * width,
              from.data + values + format.value_at(from_cell, 0) * width, format.key_bytes());
  to.ordinals[to_cell] = from.ordinals[from_cell];
  to.spans[to_cell] = from.spans[from_cell];
  to.hidden[to_cell] = from.hidden[from_cell];
  to.has_hidden = to.has_hidden || from.has_hidden;
}

void move_cells_up(const CellFormat& format, Page& page, uint32_t first, uint32_t n) {
  constexpr uint32_t kGroup = CellFormat::kGroup;
  const size_t width = format.number_bytes();
  const size_t stride = kGroup * width;
  // From the last one on, as many at once as stay within one group of keys.
  for (uint32_t end = first + n; end > first;) {
    const uint32_t last = end - 1;
    const uint32_t begin =
        last % kGroup + 1 == kGroup ? last : std::max(first, last / kGroup * kGroup);
    std::byte* source = page.data + format.key_at(begin, 0) * width;
    std::byte* target = page.data + format.key_at(begin + 1, 0) * width;
    const size_t n_bytes = (end - begin) * width;
    for (int c = 0; c < format.head_dim; ++c, source += stride, target += stride) {
      copy_short(target, source, n_bytes);
    }
    end = begin;
  }
  std::byte* values = page.data + format.key_page_bytes() + format.value_at(first, 0) * width;
  std::memmove(values + format.key_bytes(), values, n * format.key_bytes());
  const auto move_up = [&](auto& list) {
    const auto begin = list.begin() + static_cast<std::ptrdiff_t>(first);
    std::copy_backward(begin, begin + n, begin + n + 1);
  };
  move_up(page.ordinals);
  move_up(page.spans);
  move_up(page.hidden);
}

}  // namespace ebb::kv
