#include "policy/gather.h"

#include "base/error.h"

namespace ebb::policy {
namespace {

// Picks rows of `width` values; an empty source (a signal nobody asked for) stays empty.
template <typename T>
std::vector<T> pick(std::span<const T> source, std::span<const uint32_t> cells, size_t width) {
  std::vector<T> out;
  if (source.empty()) return out;
  out.reserve(cells.size() * width);
  for (const uint32_t cell : cells) {
    const auto row = source.subspan(cell * width, width);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

}  // namespace

GatheredLayer::GatheredLayer(const LayerView& source, const CacheShape& shape,
                             std::span<const std::vector<uint32_t>> cells)
    : view_(source) {
  EBB_CHECK(cells.size() == source.heads.size());
  const auto width = static_cast<size_t>(shape.head_dim);
  heads_.resize(cells.size());
  for (size_t h = 0; h < cells.size(); ++h) {
    const HeadView& from = source.heads[h];
    Head& to = heads_[h];
    to.ordinals = pick(from.ordinals, cells[h], 1);
    to.spans = pick(from.spans, cells[h], 1);
    to.keys = pick(from.keys, cells[h], width);
    to.values = pick(from.values, cells[h], width);
    to.attention_sum = pick(from.attention_sum, cells[h], 1);
    if (!from.attention_window.empty()) {
      for (size_t g = 0; g < static_cast<size_t>(shape.group_size()); ++g) {
        const auto row = from.attention_window.subspan(g * from.n_cells(), from.n_cells());
        const auto part = pick(row, cells[h], 1);
        to.attention_window.insert(to.attention_window.end(), part.begin(), part.end());
      }
    }
    HeadView head = from;
    head.ordinals = to.ordinals;
    head.spans = to.spans;
    head.keys = to.keys;
    head.values = to.values;
    head.attention_sum = to.attention_sum;
    head.attention_window = to.attention_window;
    head_views_.push_back(head);
  }
  view_.heads = head_views_;
}

}  // namespace ebb::policy
