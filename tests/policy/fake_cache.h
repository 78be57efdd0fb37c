// A cache made of plain vectors for policy tests: random but reproducible signals for every cell.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "policy/evictor.h"
#include "policy/treatment_text.h"
#include "policy/view.h"

namespace ebb::policy::testing {

struct FakeHead {
  std::vector<Ordinal> ordinals;
  std::vector<SpanId> spans;
  std::vector<float> keys, values, attention_sum, attention_window, query_mean, query_covariance;
};

class FakeCache : public CacheSource {
 public:
  explicit FakeCache(CacheShape shape) : shape_(std::move(shape)) {
    heads_.resize(static_cast<size_t>(shape_.n_layers));
    for (auto& layer : heads_) layer.resize(static_cast<size_t>(shape_.n_kv_heads));
  }

  const CacheShape& shape() const { return shape_; }
  FakeHead& head(int layer, int h) {
    return heads_[static_cast<size_t>(layer)][static_cast<size_t>(h)];
  }

  // Fills every head with ordinals [begin, end) after what it holds.
  void append(uint32_t begin, uint32_t end, uint16_t span = 0) {
    for (auto& layer : heads_) {
      for (FakeHead& cells : layer) {
        for (uint32_t o = begin; o < end; ++o) {
          cells.ordinals.push_back({o});
          cells.spans.push_back({span});
        }
      }
    }
    refresh();
  }

  // Removes what a plan does not keep.
  void apply(const EvictionPlan& plan) {
    for (size_t l = 0; l < heads_.size(); ++l) {
      for (size_t h = 0; h < heads_[l].size(); ++h) {
        FakeHead& cells = heads_[l][h];
        std::vector<Ordinal> ordinals;
        std::vector<SpanId> spans;
        for (const uint32_t i : plan.kept[l][h]) {
          ordinals.push_back(cells.ordinals[i]);
          spans.push_back(cells.spans[i]);
        }
        cells.ordinals = ordinals;
        cells.spans = spans;
      }
    }
    refresh();
  }

  // Signals keyed by (layer, head, ordinal), so that they follow their cells.
  void refresh() {
    const auto d = static_cast<size_t>(shape_.head_dim);
    const auto group = static_cast<size_t>(shape_.group_size());
    for (size_t l = 0; l < heads_.size(); ++l) {
      for (size_t h = 0; h < heads_[l].size(); ++h) {
        FakeHead& cells = heads_[l][h];
        const auto place = static_cast<uint32_t>(l * 64 + h);
        const size_t n = cells.ordinals.size();
        cells.keys.resize(n * d);
        cells.values.resize(n * d);
        cells.attention_sum.resize(n);
        cells.attention_window.resize(n * group);
        for (size_t i = 0; i < n; ++i) {
          const uint32_t o = cells.ordinals[i].value;
          for (uint32_t c = 0; c < d; ++c) {
            cells.keys[i * d + c] = draw(o, place, 1, c);
            cells.values[i * d + c] = draw(o, place, 2, c);
          }
          cells.attention_sum[i] = std::fabs(draw(o, place, 3, 0));
          for (uint32_t g = 0; g < group; ++g) {
            cells.attention_window[g * n + i] = std::fabs(draw(o, place, 4, g));
          }
        }
        fill_moments(cells, place);
      }
    }
    projection_.resize(static_cast<size_t>(shape_.n_embd * shape_.head_dim * shape_.n_q_heads));
    for (uint32_t i = 0; i < projection_.size(); ++i) projection_[i] = draw(i, 0, 5, 0);
    frequencies_.resize(d / 2);
    for (size_t i = 0; i < d / 2; ++i) {
      frequencies_[i] = std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(d));
    }
  }

  // Which queries a window of `n` looks through: the last of the sequence.
  void set_window(uint32_t n_logical, int n) {
    window_queries_.clear();
    const auto count = std::min<uint32_t>(n_logical, static_cast<uint32_t>(n));
    for (uint32_t i = n_logical - count; i < n_logical; ++i) window_queries_.push_back({i});
  }

  LayerView layer(int index) override {
    const auto& source = heads_[static_cast<size_t>(index)];
    views_.clear();
    for (const FakeHead& cells : source) {
      views_.push_back({.ordinals = cells.ordinals,
                        .spans = cells.spans,
                        .keys = cells.keys,
                        .values = cells.values,
                        .attention_sum = cells.attention_sum,
                        .attention_window = cells.attention_window,
                        .query_mean = cells.query_mean,
                        .query_covariance = cells.query_covariance});
    }
    ++n_views;
    return {
        .layer = index,
        .is_sliding = !shape_.is_sliding.empty() && shape_.is_sliding[static_cast<size_t>(index)],
        .window = 0,
        .heads = views_,
        .window_queries = window_queries_,
        .n_moment_queries = 10,
        .rope_frequencies = frequencies_,
        .output_projection = projection_};
  }

  std::vector<uint32_t> kept_ordinals(const EvictionPlan& plan, int layer, int h) {
    std::vector<uint32_t> out;
    for (const uint32_t i : plan.kept[static_cast<size_t>(layer)][static_cast<size_t>(h)]) {
      out.push_back(head(layer, h).ordinals[i].value);
    }
    return out;
  }

  int n_views = 0;

 private:
  float draw(uint32_t a, uint32_t b, uint32_t c, uint32_t d) const {
    return static_cast<float>(random_.uniform(a, b, c, d)) - 0.5F;
  }

  void fill_moments(FakeHead& cells, uint32_t place) {
    const auto d = static_cast<size_t>(shape_.head_dim);
    const auto group = static_cast<size_t>(shape_.group_size());
    cells.query_mean.resize(d * group);
    cells.query_covariance.assign(d * d * group, 0.0F);
    for (uint32_t i = 0; i < d * group; ++i) cells.query_mean[i] = draw(i, place, 6, 0);
    for (size_t g = 0; g < group; ++g) {
      for (size_t c = 0; c < d; ++c) cells.query_covariance[(g * d + c) * d + c] = 0.1F;
    }
  }

  CacheShape shape_;
  std::vector<std::vector<FakeHead>> heads_;
  std::vector<HeadView> views_;
  std::vector<Ordinal> window_queries_;
  std::vector<float> projection_;
  std::vector<float> frequencies_;
  KeyedRandom random_{7, 7, RandomUse::kData};
};

inline CacheShape small_shape(int n_layers = 3, int n_kv_heads = 2, int group = 2,
                              int head_dim = 4) {
  return {.n_layers = n_layers,
          .n_q_heads = n_kv_heads * group,
          .n_kv_heads = n_kv_heads,
          .head_dim = head_dim,
          .n_embd = 6,
          .attention_scale = 0.5F,
          .cell_bytes = 32,
          .is_sliding = std::vector<bool>(static_cast<size_t>(n_layers), false)};
}

inline EventInfo event_at(int64_t n_logical, int index = 0) {
  return {.kind = EventKind::kTurnEnd,
          .event_index = index,
          .turn = index,
          .n_logical = n_logical,
          .n_prompt = n_logical,
          .turn_begin = {0},
          .n_incoming = 0,
          .spans = {}};
}

// One event on a cache of ordinals [0, n).
inline EvictionPlan plan_once(FakeCache& cache, const Treatment& treatment, EventInfo event,
                              uint64_t seed = 0, std::string_view conversation = "c") {
  Evictor evictor(treatment, cache.shape(), seed, conversation);
  cache.set_window(static_cast<uint32_t>(event.n_logical),
                   std::max(1, evictor.needs().attention_window));
  return evictor.plan(cache, event);
}

inline std::vector<uint32_t> range(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> out;
  for (uint32_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}

}  // namespace ebb::policy::testing
