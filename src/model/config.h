// What a decoder looks like, as data. One graph serves every architecture; an architecture is a
// function that fills this from GGUF metadata (see architecture.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ebb::model {

enum class Activation { kSilu, kGeluTanh };

// How channels pair up in RoPE: llama files permute Q and K so that channels 2i and 2i+1 turn
// together; gemma and qwen files keep the halves (i and i + head_dim/2).
enum class RopeLayout { kInterleaved, kHalfSplit };

enum class LayerClass { kGlobal, kSliding };

struct RopeSpec {
  float base = 10000.0F;
  float position_scale =
      1.0F;  // angle = pos * position_scale * base^(-2i/d): 1/8 for linear factor 8
  std::vector<float>
      freq_factors;  // [head_dim / 2], each frequency is divided by its factor; empty = all 1
};

struct ModelConfig {
  std::string architecture;  // "llama", "qwen2", "qwen3", "gemma3"
  std::string name;          // general.name, or ""
  int n_layers = 0;
  int n_embd = 0;
  int n_ff = 0;
  int n_q_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int n_vocab = 0;
  int n_ctx_train = 0;
  float norm_eps = 1e-5F;
  float embedding_scale = 1.0F;
  float attention_scale = 0.0F;
  float attention_softcap = 0.0F;  // 0 = none: s = cap * tanh(s / cap)
  float final_softcap = 0.0F;
  Activation activation = Activation::kSilu;
  RopeLayout rope_layout = RopeLayout::kHalfSplit;
  bool has_qkv_bias = false;
  bool has_qk_norm = false;     // RMS norm over head_dim of every q and k head before RoPE
  bool has_post_norms = false;  // a norm on each block's output before the residual add
  bool has_tied_head = false;   // the output matrix is the embedding
  int window = 0;  // sliding layers see cells at ordinal distance < window; 0 = no sliding layers
  std::vector<LayerClass> layer_class;  // [n_layers]
  RopeSpec rope_global;
  RopeSpec rope_sliding;

  int group_size() const { return n_q_heads / n_kv_heads; }
  bool is_sliding(int layer) const {
    return layer_class[static_cast<size_t>(layer)] == LayerClass::kSliding;
  }
  const RopeSpec& rope(int layer) const { return is_sliding(layer) ? rope_sliding : rope_global; }
};

}  // namespace ebb::model
