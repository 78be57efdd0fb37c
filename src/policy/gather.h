// A view of some of a layer's cells, for scopes that look at the newest turn or at survivors only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "policy/view.h"

namespace ebb::policy {

// Owns copies of the cells' data; query moments and layer data are still the source view's.
class GatheredLayer {
 public:
  // cells[head]: ascending indices into the head's cells.
  GatheredLayer(const LayerView& source, const CacheShape& shape,
                std::span<const std::vector<uint32_t>> cells);
  GatheredLayer(const GatheredLayer&) = delete;
  GatheredLayer& operator=(const GatheredLayer&) = delete;

  const LayerView& view() const { return view_; }

 private:
  struct Head {
    std::vector<Ordinal> ordinals;
    std::vector<SpanId> spans;
    std::vector<float> keys, values, attention_sum, attention_window;
  };
  std::vector<Head> heads_;
  std::vector<HeadView> head_views_;
  LayerView view_;
};

}  // namespace ebb::policy
