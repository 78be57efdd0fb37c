// A loaded model: its config, its weights as views into the mapped file, its metadata.
// Weights are never copied here; kernels that want another layout make their own (src/kernels).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/gguf_file.h"

namespace ebb::model {

// A 1-D or 2-D weight in the mapped file.  Shape: [n_in, n_out] in ggml order (row = one output's
// inputs).
struct Weight {
  std::string name;
  ggml_type type = GGML_TYPE_F32;
  int64_t n_in = 0;
  int64_t n_out = 1;
  const void* data = nullptr;  // null = this architecture has no such weight

  explicit operator bool() const { return data != nullptr; }
  size_t size_bytes() const;
};

struct LayerWeights {
  Weight attn_norm, q, k, v, q_bias, k_bias, v_bias, q_norm, k_norm, attn_out, attn_post_norm;
  Weight ffn_norm, ffn_gate, ffn_up, ffn_down, ffn_post_norm;
};

class Model {
 public:
  // Maps and checks a GGUF file.  Throws: kBadModel with what was found and what was expected.
  // Cost: reads the header and touches no weights.
  static std::shared_ptr<const Model> load(const std::filesystem::path& path);
  // The same for a file that was opened already.
  static std::shared_ptr<const Model> from_file(GgufFile file);

  const ModelConfig& config() const { return config_; }
  const GgufFile& file() const { return file_; }
  const std::filesystem::path& path() const { return file_.path(); }
  const Weight& token_embedding() const { return token_embedding_; }
  const Weight& output_norm() const { return output_norm_; }
  const Weight& output() const { return output_; }  // the embedding where the head is tied
  const LayerWeights& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  size_t weights_bytes() const { return weights_bytes_; }  // every used tensor, as stored
  size_t n_tensors_ignored() const { return n_tensors_ignored_; }

 private:
  explicit Model(GgufFile file) : file_(std::move(file)) {}

  GgufFile file_;
  ModelConfig config_;
  Weight token_embedding_, output_norm_, output_;
  std::vector<LayerWeights> layers_;
  size_t weights_bytes_ = 0;
  size_t n_tensors_ignored_ = 0;
};

}  // namespace ebb::model
