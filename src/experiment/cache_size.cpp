#include "experiment/cache_size.h"

#include <algorithm>

namespace ebb::experiment {
namespace {

constexpr int64_t kKeepInitial = 100;
constexpr int64_t kKeepRecent = 100;

CacheSize size_of(const CacheGeometry& g, int64_t n_global, int64_t n_sliding) {
  const auto n = static_cast<uint64_t>(n_global * g.n_global + n_sliding * g.n_sliding);
  return {n_global, n_sliding, n * g.bytes_per_token_per_layer()};
}

}  // namespace

CacheGeometry cache_geometry(const model::ModelConfig& config, CellType type) {
  CacheGeometry out;
  for (const model::LayerClass layer : config.layer_class) {
    ++(layer == model::LayerClass::kGlobal ? out.n_global : out.n_sliding);
  }
  out.window = config.window;
  out.n_kv_heads = config.n_kv_heads;
  out.cell_bytes = 2 * static_cast<size_t>(config.head_dim) * cell_type_bytes(type);
  return out;
}

std::vector<std::pair<std::string, CacheSize>> cache_sizes(const CacheGeometry& geometry,
                                                           int64_t n_tokens) {
  // A sliding layer holds what its next query can still see: distance below the window.
  const int64_t n_visible =
      geometry.n_sliding > 0 ? std::min<int64_t>(n_tokens, geometry.window - 1) : 0;
  // A sink that has left the window is gone; the recent cells are all that streaming finds there.
  const auto streamed = [&](int64_t n_there) {
    const int64_t n_sinks =
        std::clamp<int64_t>(kKeepInitial - (n_tokens - n_there), 0, kKeepInitial);
    return n_there <= kKeepInitial + kKeepRecent ? n_there : n_sinks + kKeepRecent;
  };
  const auto halved = [](int64_t n) { return n == 0 ? 0 : std::max<int64_t>(1, n / 2); };
  return {{"baseline", size_of(geometry, n_tokens, n_visible)},
          {"streaming 100+100", size_of(geometry, streamed(n_tokens), streamed(n_visible))},
          {"random 0.5", size_of(geometry, halved(n_tokens), halved(n_visible))}};
}

}  // namespace ebb::experiment
