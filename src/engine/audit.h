// What an eviction event did, in enough detail to check it later: which ordinals stay in every
// layer and head, and how much of every span is left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/sequence.h"

namespace ebb::engine {

// Ordinals first..last, both included.
struct OrdinalRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool operator==(const OrdinalRange&) const = default;
};

// The cells of a sequence as ranges.  [n_layers][n_kv_heads]
using KeptRanges = std::vector<std::vector<std::vector<OrdinalRange>>>;
KeptRanges kept_ranges(const kv::SequenceCells& cells);

// "0-49,120-169"; "" for no cell.
std::string ranges_text(const std::vector<OrdinalRange>& ranges);

// Cells of every span in every layer and head.  [n_spans][n_layers * n_kv_heads], layer by layer
std::vector<std::vector<uint32_t>> cells_by_span_and_head(const kv::SequenceCells& cells,
                                                          size_t n_spans);
// The same, over all layers and heads.  [n_spans]
std::vector<uint64_t> cells_by_span(const kv::SequenceCells& cells, size_t n_spans);

}  // namespace ebb::engine
