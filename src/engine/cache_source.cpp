#include "engine/cache_source.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "kernels/attention.h"
#include "tensor/types.h"

namespace ebb::engine {

policy::LayerView EngineCacheSource::layer(int layer) {
  if (ahead_.valid() && content_[1].layer == layer) {
    last_layer_ = layer;
    ahead_.get();
    return view_of(content_[1]);
  }
  if (ahead_.valid()) ahead_.wait();  // a layer that nobody asks for: what it met does not matter
  ahead_ = {};
  const int next = layer + std::max(1, layer - last_layer_);  // scopes leave layers out
  last_layer_ = layer;
  if (reads_ahead(next)) {
    content_[1].layer = next;
    try {
      ahead_ = std::async(std::launch::async, [this, next] { read(next, content_[1]); });
    } catch (const std::system_error&) {  // no thread to be had: read when asked for
    }
  }
  read(layer, content_[0]);
  return view_of(content_[0]);
}

bool EngineCacheSource::reads_ahead(int next) const {
  const bool takes_long = needs_.keys || needs_.values || needs_.attention_window > 0 ||
                          needs_.query_moments || needs_.output_projection;
  return takes_long && next < engine_.config().n_layers && engine_.n_threads() > 1;
}

void EngineCacheSource::read(int layer, Content& out) const {
  const auto n_heads = static_cast<size_t>(engine_.config().n_kv_heads);
  out.layer = layer;
  out.cells.resize(n_heads);
  out.heads.assign(n_heads, {});
  for (size_t h = 0; h < n_heads; ++h) {
    Engine::HeadContent& content = out.cells[h];
    const kv::HeadCells& cells = sequence_.cells().head(layer, static_cast<int>(h));
    policy::HeadView& view = out.heads[h];
    if (needs_.keys || needs_.values) {
      engine_.read_head(sequence_, layer, static_cast<int>(h), content);
      view.keys = content.keys;
      view.values = content.values;
    } else {
      cells.collect_ordinals(content.ordinals);
      cells.collect_spans(content.spans);
    }
    view.ordinals = content.ordinals;
    view.spans = content.spans;
  }
  fill_signals(out);
  if (needs_.output_projection) fill_output_projection(out);
}

policy::LayerView EngineCacheSource::view_of(const Content& content) {
  const model::ModelConfig& config = engine_.config();
  policy::LayerView view;
  view.layer = content.layer;
  view.is_sliding = config.is_sliding(content.layer);
  view.window = view.is_sliding ? config.window : 0;
  view.heads = content.heads;
  view.window_queries = content.window_queries;
  view.rope_frequencies = engine_.rope_frequencies(content.layer);
  view.output_projection = content.output_projection;
  if (needs_.query_moments) view.n_moment_queries = sequence_.signals()->n_moment_queries();
  if (needs_.attention_window > 0 && sequence_.signals()->observed().places().empty()) {
    notice_ = "no query to observe yet: looked through the last tokens instead";
  }
  return view;
}

void EngineCacheSource::fill_signals(Content& out) const {
  const SequenceSignals* signals = sequence_.signals();
  if (!any_signal(needs_)) return;
  EBB_CHECK(signals != nullptr);
  out.signals.resize(out.heads.size());
  for (size_t h = 0; h < out.heads.size(); ++h) {
    HeadSignals& mine = out.signals[h];
    policy::HeadView& view = out.heads[h];
    const int head = static_cast<int>(h);
    if (needs_.attention_sum) {
      mine.attention_sum.clear();
      for (const int64_t sum : signals->weight_sums(out.layer, head)) {
        mine.attention_sum.push_back(kernels::weight_of(sum));
      }
      view.attention_sum = mine.attention_sum;
    }
    if (needs_.attention_window > 0) {
      out.window_queries = engine_.window_weights(sequence_, out.layer, head,
                                                  needs_.attention_window, mine.attention_window);
      view.attention_window = mine.attention_window;
    }
    if (needs_.query_moments) {
      fill_moments(out.layer, head, mine);
      view.query_mean = mine.query_mean;
      view.query_covariance = mine.query_covariance;
    }
  }
}

void EngineCacheSource::fill_moments(int layer, int kv_head, HeadSignals& out) const {
  const model::ModelConfig& config = engine_.config();
  const auto d = static_cast<size_t>(config.head_dim);
  const auto group = static_cast<size_t>(config.group_size());
  std::vector<float> mean(d);
  std::vector<float> covariance(d * d);
  out.query_mean.resize(d * group);
  out.query_covariance.resize(d * d * group);
  // Where HF's channel c lies in the file's order.
  const auto place = [&](size_t c) {
    if (config.rope_layout == model::RopeLayout::kHalfSplit) return c;
    return c < d / 2 ? 2 * c : 2 * (c - d / 2) + 1;
  };
  for (size_t g = 0; g < group; ++g) {
    const int q_head = kv_head * config.group_size() + static_cast<int>(g);
    sequence_.signals()->moments(layer, q_head, mean, covariance);
    for (size_t a = 0; a < d; ++a) {
      out.query_mean[g * d + a] = mean[place(a)];
      for (size_t b = 0; b < d; ++b) {
        out.query_covariance[(g * d + a) * d + b] = covariance[place(a) * d + place(b)];
      }
    }
  }
}

void EngineCacheSource::fill_output_projection(Content& content) const {
  const model::Weight& weight = engine_.model().layer(content.layer).attn_out;
  const auto n_in = static_cast<size_t>(weight.n_in);
  const auto n_out = static_cast<size_t>(weight.n_out);
  const size_t row_bytes = tensor::row_size_bytes(weight.type, weight.n_in);
  content.output_projection.resize(n_in * n_out);
  constexpr size_t kRows = 16;  // turned together, so that whole cache lines are written
  std::vector<float> rows(kRows * n_in);
  for (size_t first = 0; first < n_out; first += kRows) {
    const size_t n = std::min(kRows, n_out - first);
    for (size_t i = 0; i < n; ++i) {
      tensor::dequantise_row(weight.type,
                             static_cast<const char*>(weight.data) + (first + i) * row_bytes,
                             std::span(rows).subspan(i * n_in, n_in));
    }
    for (size_t in = 0; in < n_in; ++in) {
      float* to = &content.output_projection[in * n_out + first];
      for (size_t i = 0; i < n; ++i) to[i] = rows[i * n_in + in];
    }
  }
}

std::vector<size_t> EngineCacheSource::cell_counts(int layer) {
  std::vector<size_t> counts;
  for (int h = 0; h < engine_.config().n_kv_heads; ++h) {
    counts.push_back(sequence_.cells().head(layer, h).n_cells());
  }
  return counts;
}

}  // namespace ebb::engine
