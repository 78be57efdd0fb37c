// Shows one sequence's cells to a policy, a layer at a time, as float32 in HF channel order.
#pragma once

#include <array>
#include <future>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "policy/view.h"

namespace ebb::engine {

class EngineCacheSource final : public policy::CacheSource {
 public:
  // Both must outlive this, and the sequence must not change meanwhile. Only the signals in `needs`
  // are filled.
  EngineCacheSource(const Engine& engine, const Sequence& sequence, const policy::Needs& needs)
      : engine_(engine), sequence_(sequence), needs_(needs) {}

  // The view lives until the next call. Where reading takes long and the engine has threads, the
  // layer that is expected next is read at the same time.
  policy::LayerView layer(int layer) override;
  std::vector<size_t> cell_counts(int layer) override;
  // What a person should know about the signals, or "".
  const std::string& notice() const { return notice_; }

 private:
  struct HeadSignals {
    std::vector<float> attention_sum, attention_window, query_mean, query_covariance;
  };
  // What one layer's view points into.
  struct Content {
    int layer = -1;
    std::vector<Engine::HeadContent> cells;
    std::vector<policy::HeadView> heads;
    std::vector<HeadSignals> signals;
    std::vector<Ordinal> window_queries;
    std::vector<float> output_projection;
  };

  bool reads_ahead(int next) const;
  void read(int layer, Content& out) const;
  void fill_signals(Content& out) const;
  void fill_moments(int layer, int kv_head, HeadSignals& out) const;
  void fill_output_projection(Content& out) const;
  policy::LayerView view_of(const Content& content);

  const Engine& engine_;
  const Sequence& sequence_;
  policy::Needs needs_;
  std::string notice_;
  int last_layer_ = -1;
  std::array<Content, 2> content_;  // asked for, and read ahead
  std::future<void> ahead_;         // fills content_[1]; ends before that does
};

}  // namespace ebb::engine
