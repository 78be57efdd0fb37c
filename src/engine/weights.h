// The model's matrices in the form that the chosen kernels read, made once per engine.
#pragma once

#include <ggml-cpp.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "engine/options.h"
#include "kernels/packed_weight.h"
#include "model/model.h"

namespace ebb::engine {

// One linear layer: packed for our kernels, or a ggml tensor over the mapped file.
struct Linear {
  std::optional<kernels::PackedWeight> packed;
  ggml_tensor* tensor = nullptr;
  std::vector<float> bias;  // [n_out] or empty
  int64_t n_in = 0;
  int64_t n_out = 0;
};

struct LayerLinears {
  Linear q, k, v, attn_out, ffn_gate, ffn_up, ffn_down;
  std::vector<float> attn_norm, q_norm, k_norm, attn_post_norm, ffn_norm, ffn_post_norm;
};

class EngineWeights {
 public:
  // Throws: kOutOfMemory; kBadModel for a type the kernels cannot read.
  EngineWeights(const model::Model& model, const EngineOptions& options, int n_threads);

  const LayerLinears& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  const Linear& output() const { return output_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  size_t packed_bytes() const { return packed_bytes_; }

 private:
  Linear make_linear(const model::Weight& weight, const model::Weight& bias,
                     kernels::Arithmetic arithmetic);

  EngineOptions options_;
  int n_threads_;
  ggml_context_ptr context_;  // descriptions of tensors over the mapped file; no data
  std::vector<LayerLinears> layers_;
  Linear output_;
  std::vector<float> output_norm_;
  size_t packed_bytes_ = 0;
};

// Memory that EngineWeights will take beside the mapped file, before anything is allocated.
size_t predict_packed_bytes(const model::Model& model, const EngineOptions& options);
// Arithmetic of our kernels under these numerics.
kernels::Arithmetic arithmetic_of(Numerics numerics);
// Throws: kBadModel for types that no kernel of ours reads.
kernels::WeightType weight_type_of(ggml_type type);

}  // namespace ebb::engine
