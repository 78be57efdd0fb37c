#include "engine/audit.h"

#include <fmt/format.h>

#include <numeric>

#include "base/error.h"

namespace ebb::engine {

KeptRanges kept_ranges(const kv::SequenceCells& cells) {
  KeptRanges out;
  std::vector<Ordinal> ordinals;
  for (int layer = 0; layer < cells.shape().n_layers(); ++layer) {
    auto& heads = out.emplace_back();
    for (int head = 0; head < cells.shape().n_kv_heads; ++head) {
      auto& ranges = heads.emplace_back();
      cells.head(layer, head).collect_ordinals(ordinals);
      for (const Ordinal ordinal : ordinals) {
        if (!ranges.empty() && ranges.back().last + 1 == ordinal.value) {
          ranges.back().last = ordinal.value;
        } else {
          ranges.push_back({ordinal.value, ordinal.value});
        }
      }
    }
  }
  return out;
}

std::string ranges_text(const std::vector<OrdinalRange>& ranges) {
  std::string out;
  for (const OrdinalRange& range : ranges) {
    if (!out.empty()) out += ',';
    out += range.first == range.last ? fmt::format("{}", range.first)
                                     : fmt::format("{}-{}", range.first, range.last);
  }
  return out;
}

std::vector<std::vector<uint32_t>> cells_by_span_and_head(const kv::SequenceCells& cells,
                                                          size_t n_spans) {
  const auto n_heads = static_cast<size_t>(cells.shape().n_kv_heads);
  const size_t n_pairs = static_cast<size_t>(cells.shape().n_layers()) * n_heads;
  std::vector<std::vector<uint32_t>> out(n_spans, std::vector<uint32_t>(n_pairs));
  std::vector<SpanId> spans;
  for (size_t pair = 0; pair < n_pairs; ++pair) {
    cells.head(static_cast<int>(pair / n_heads), static_cast<int>(pair % n_heads))
        .collect_spans(spans);
    for (size_t begin = 0; begin < spans.size();) {  // a span's cells are neighbours
      size_t end = begin + 1;
      while (end < spans.size() && spans[end] == spans[begin]) ++end;
      EBB_CHECK(spans[begin].value < n_spans);
      out[spans[begin].value][pair] += static_cast<uint32_t>(end - begin);
      begin = end;
    }
  }
  return out;
}

std::vector<uint64_t> cells_by_span(const kv::SequenceCells& cells, size_t n_spans) {
  std::vector<uint64_t> out;
  for (const auto& of_heads : cells_by_span_and_head(cells, n_spans)) {
    out.push_back(std::accumulate(of_heads.begin(), of_heads.end(), uint64_t{0}));
  }
  return out;
}

}  // namespace ebb::engine
