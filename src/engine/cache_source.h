// Shows one sequence's cells to a policy, a layer at a time, as float32 in HF channel order.
#pragma once

#include <string>
#include <vector>

#include "engine/engine.h"
#include "policy/view.h"

namespace ebb::engine {

class EngineCacheSource final : public policy::CacheSource {
 public:
  // Both must outlive this. Only the signals in `needs` are filled.
  EngineCacheSource(const Engine& engine, const Sequence& sequence, const policy::Needs& needs)
      : engine_(engine), sequence_(sequence), needs_(needs) {}

  policy::LayerView layer(int layer) override;
  std::vector<size_t> cell_counts(int layer) override;
  // What a person should know about the signals, or "".
  const std::string& notice() const { return notice_; }

 private:
  const Engine& engine_;
  const Sequence& sequence_;
  policy::Needs needs_;
  std::string notice_;
  std::vector<Engine::HeadContent> content_;  // of the current layer
  struct HeadSignals {
    std::vector<float> attention_sum, attention_window, query_mean, query_covariance;
  };
  void fill_signals(int layer);
  void fill_moments(int layer, int kv_head, HeadSignals& out) const;
  void fill_output_projection(int layer);

  std::vector<policy::HeadView> heads_;
  std::vector<HeadSignals> signals_;
  std::vector<Ordinal> window_queries_;
  std::vector<float> output_projection_;
};

}  // namespace ebb::engine
