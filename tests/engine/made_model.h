// Small models of every architecture in every weight type, made when a test asks for one: random
// weights that ggml quantises. tests/fixtures has the same for llama alone.
#pragma once

#include <ggml.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dice.h"
#include "model/gguf_builder.h"
#include "model/model.h"

namespace ebb::engine {

class ModelMaker {
 public:
  ModelMaker(std::string architecture, ggml_type type)
      : architecture_(std::move(architecture)),
        type_(type),
        // Blocks of K-quants are 256 numbers long.
        width_(ggml_blck_size(type) > 32 ? 256 : 64),
        builder_(model::testing::small_model(architecture_)) {}

  std::vector<std::byte> build() {
    set_shape();
    builder_.tensors.clear();
    add_matrix("token_embd.weight", width_, kTokens, 2.0F);
    add_vector("output_norm.weight", width_, 0.2F, 1.0F);
    for (int i = 0; i < n_layers(); ++i) add_layer("blk." + std::to_string(i) + ".");
    return builder_.build();
  }

 private:
  static constexpr int64_t kTokens = 256;
  static constexpr int kQueryHeads = 4;
  static constexpr int kKvHeads = 2;

  int64_t head_dim() const { return width_ / kQueryHeads; }
  bool is_gemma() const { return architecture_ == "gemma3"; }
  // Narrow gemma3 reaches its first layer without a window.
  int n_layers() const { return width_ > 64 ? 1 : is_gemma() ? 6 : 2; }

  void set(const std::string& key, int64_t value) {
    builder_.set<uint32_t>(architecture_ + "." + key, static_cast<uint32_t>(value));
  }

  void set_shape() {
    set("block_count", n_layers());
    set("context_length", 8192);
    set("embedding_length", width_);
    set("feed_forward_length", width_);
    set("attention.head_count", kQueryHeads);
    set("attention.head_count_kv", kKvHeads);
    set("attention.key_length", head_dim());
    set("attention.value_length", head_dim());
    set("rope.dimension_count", head_dim());
    if (is_gemma()) set("attention.sliding_window", 16);
    std::vector<std::string> tokens;
    for (int64_t i = 0; i < kTokens; ++i) tokens.push_back("t" + std::to_string(i));
    builder_.set_texts("tokenizer.ggml.tokens", tokens);
    builder_.set_texts("tokenizer.ggml.merges", {"t 1", "t 2"});
    builder_.set_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(kTokens, 1));
  }

  float draw(float scale) {
    return (static_cast<float>(dice_(1U << 16U)) / 32768.0F - 1.0F) * scale;
  }

  void add_vector(const std::string& name, int64_t n, float scale, float mean) {
    builder_.add_f32(name, {n});
    for (int64_t i = 0; i < n; ++i) builder_.tensors.back().values.push_back(mean + draw(scale));
  }

  // A uniform draw with the deviation of a normal one of this gain.
  void add_matrix(const std::string& name, int64_t n_in, int64_t n_out, float gain) {
    const float scale = gain * std::sqrt(3.0F / static_cast<float>(n_in));
    std::vector<float> values(static_cast<size_t>(n_in * n_out));
    for (float& value : values) value = draw(scale);
    builder_.add_f32(name, {n_in, n_out});
    model::testing::BuiltTensor& tensor = builder_.tensors.back();
    tensor.type = static_cast<uint32_t>(type_);
    tensor.bytes.resize(ggml_row_size(type_, n_in) * static_cast<size_t>(n_out));
    tensor.size_bytes = tensor.bytes.size();
    ggml_quantize_chunk(type_, values.data(), tensor.bytes.data(), 0, n_out, n_in, nullptr);
  }

  void add_layer(const std::string& at) {
    const int64_t n_kv = kKvHeads * head_dim();
    add_vector(at + "attn_norm.weight", width_, 0.3F, 1.0F);
    add_matrix(at + "attn_q.weight", width_, width_, 1.4F);
    add_matrix(at + "attn_k.weight", width_, n_kv, 1.4F);
    add_matrix(at + "attn_v.weight", width_, n_kv, 1.0F);
    add_matrix(at + "attn_output.weight", width_, width_, 0.8F);
    if (architecture_ == "qwen2") {
      add_vector(at + "attn_q.bias", width_, 1.0F, 0.0F);
      add_vector(at + "attn_k.bias", n_kv, 1.0F, 0.0F);
      add_vector(at + "attn_v.bias", n_kv, 0.5F, 0.0F);
    } else {
      add_vector(at + "attn_q_norm.weight", head_dim(), 0.5F, 1.7F);
      add_vector(at + "attn_k_norm.weight", head_dim(), 0.5F, 1.2F);
    }
    add_vector(at + "ffn_norm.weight", width_, 0.3F, 1.0F);
    for (const char* name : {"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"}) {
      add_matrix(at + name, width_, width_, 1.0F);
    }
    if (!is_gemma()) return;
    add_vector(at + "post_attention_norm.weight", width_, 0.3F, 1.0F);
    add_vector(at + "post_ffw_norm.weight", width_, 0.3F, 1.0F);
  }

  std::string architecture_;
  ggml_type type_;
  int64_t width_;
  model::testing::GgufBuilder builder_;
  Dice dice_{7};
};

// "qwen2-q4_1": architecture and weight type.
inline std::shared_ptr<const model::Model> made_model(const std::string& name) {
  const std::map<std::string, ggml_type> types = {{"q4_0", GGML_TYPE_Q4_0},
                                                  {"q4_1", GGML_TYPE_Q4_1},
                                                  {"q8_0", GGML_TYPE_Q8_0},
                                                  {"q4_k", GGML_TYPE_Q4_K},
                                                  {"q6_k", GGML_TYPE_Q6_K}};
  const size_t dash = name.find('-');
  const model::testing::TemporaryFolder folder;
  const auto path = folder / (name + ".gguf");
  model::testing::write_file(
      path, ModelMaker(name.substr(0, dash), types.at(name.substr(dash + 1))).build());
  return model::Model::load(path);  // stays mapped when the folder goes
}

}  // namespace ebb::engine
