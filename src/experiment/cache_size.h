// How large a cache is after so many tokens, with and without treatments: arithmetic for `inspect`,
// the planner and the documentation. Touches no model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/cell_type.h"
#include "model/config.h"

namespace ebb::experiment {

struct CacheGeometry {
  int n_global = 0;  // layers
  int n_sliding = 0;
  int window = 0;
  int n_kv_heads = 0;
  size_t cell_bytes = 0;  // K and V of one token, layer and KV head

  uint64_t bytes_per_token_per_layer() const {
    return cell_bytes * static_cast<uint64_t>(n_kv_heads);
  }
};

CacheGeometry cache_geometry(const model::ModelConfig& config, CellType type);

struct CacheSize {
  int64_t n_global = 0;   // cells per KV head of a global layer
  int64_t n_sliding = 0;  // of a sliding one
  uint64_t n_bytes = 0;   // of all layers and heads, without page slack
};

// Sizes after one event at the end of n_tokens: none, the plan's streaming (100 + 100) and random
// (0.5).
std::vector<std::pair<std::string, CacheSize>> cache_sizes(const CacheGeometry& geometry,
                                                           int64_t n_tokens);

}  // namespace ebb::experiment
