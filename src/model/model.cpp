#include "model/model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "model/architecture.h"
#include "model/vocabulary_check.h"
#include "tensor/types.h"

namespace ebb::model {
namespace {

// Tensors outside the layers that would change the results of a model that has them.
constexpr std::array<std::string_view, 9> kRefused = {"output.bias",
                                                      "output_norm.bias",
                                                      "rope_freqs.weight",
                                                      "rope_factors_long.weight",
                                                      "rope_factors_short.weight",
                                                      "position_embd.weight",
                                                      "token_types.weight",
                                                      "token_embd_norm.weight",
                                                      "dense_2.weight"};

std::string shape_text(const TensorInfo& tensor) {
  return fmt::format("{}", fmt::join(tensor.ne.begin(), tensor.ne.begin() + tensor.n_dims, " x "));
}

enum class Kind { kMatrix, kVector };

// Takes tensors out of a file by name, shape and type, and remembers which were taken.
class TensorTaker {
 public:
  explicit TensorTaker(const GgufFile& file) : file_(file) {}

  Weight matrix(const std::string& name, int64_t n_in, int64_t n_out) {
    return take(name, Kind::kMatrix, n_in, n_out);
  }
  Weight vector(const std::string& name, int64_t n) { return take(name, Kind::kVector, n, 1); }

  void mark_used(std::string_view name) { taken_.insert(name); }
  size_t bytes() const { return bytes_; }

  // The number of tensors not taken.  Throws: kBadModel for one that belongs to the decoder.
  size_t count_ignored(int n_layers) const {
    size_t n_ignored = 0;
    for (const TensorInfo& tensor : file_.tensors()) {
      if (taken_.count(tensor.name) > 0) continue;
      const bool in_layer = tensor.name.substr(0, 4) == "blk.";
      if (in_layer && !is_harmless(tensor.name)) {
        fail(tensor.name, "found it, expected no such tensor in a {} of {} layers",
             file_.string("general.architecture").value_or("model"), n_layers);
      }
      if (std::find(kRefused.begin(), kRefused.end(), tensor.name) != kRefused.end()) {
        fail(tensor.name, "found it, but it changes the results and is not supported here");
      }
      ++n_ignored;
    }
    return n_ignored;
  }

 private:
  // Tables that old converters wrote and nobody reads.
  static bool is_harmless(std::string_view name) {
    return name.find(".attn_rot_embd") != std::string_view::npos ||
           name.find(".attn.rope.freqs") != std::string_view::npos;
  }

  template <typename... Args>
  [[noreturn]] void fail(std::string_view name, fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw Error::make(ErrorKind::kBadModel, "{}: tensor '{}': {}", file_.path().string(), name,
                      fmt::format(format, std::forward<Args>(args)...));
  }

  Weight take(const std::string& name, Kind kind, int64_t n_in, int64_t n_out) {
    const TensorInfo* tensor = file_.tensor(name);
    if (tensor == nullptr) fail(name, "found nothing, expected this tensor");
    const int n_dims = kind == Kind::kMatrix ? 2 : 1;
    // ggml drops trailing dimensions of 1, so they may be there or not.
    const bool fits =
        tensor->ne[0] == n_in && tensor->ne[1] == n_out && tensor->ne[2] == 1 && tensor->ne[3] == 1;
    if (!fits) {
      fail(name, "found shape {}, expected {}", shape_text(*tensor),
           n_dims == 2 ? fmt::format("{} x {}", n_in, n_out) : fmt::format("{}", n_in));
    }
    if (kind == Kind::kVector && tensor->type != GGML_TYPE_F32) {
      fail(name, "found type {}, expected F32 for a norm or bias", tensor::type_name(tensor->type));
    }
    if (!tensor::is_supported_weight_type(tensor->type)) {
      fail(name, "found type {}, expected one of {}", tensor::type_name(tensor->type),
           tensor::supported_weight_type_names());
    }
    taken_.insert(tensor->name);
    bytes_ += tensor->size_bytes;
    return Weight{name, tensor->type, n_in, n_out, tensor->data};
  }

  const GgufFile& file_;
  std::set<std::string_view> taken_;
  size_t bytes_ = 0;
};

LayerWeights take_layer(TensorTaker& taker, const ModelConfig& config, int index) {
  const std::string at = fmt::format("blk.{}.", index);
  const int64_t d = config.n_embd;
  const int64_t d_q = int64_t{config.n_q_heads} * config.head_dim;
  const int64_t d_kv = int64_t{config.n_kv_heads} * config.head_dim;
  LayerWeights w;
  w.attn_norm = taker.vector(at + "attn_norm.weight", d);
  w.q = taker.matrix(at + "attn_q.weight", d, d_q);
  w.k = taker.matrix(at + "attn_k.weight", d, d_kv);
  w.v = taker.matrix(at + "attn_v.weight", d, d_kv);
  w.attn_out = taker.matrix(at + "attn_output.weight", d_q, d);
  w.ffn_norm = taker.vector(at + "ffn_norm.weight", d);
  w.ffn_gate = taker.matrix(at + "ffn_gate.weight", d, config.n_ff);
  w.ffn_up = taker.matrix(at + "ffn_up.weight", d, config.n_ff);
  w.ffn_down = taker.matrix(at + "ffn_down.weight", config.n_ff, d);
  if (config.has_qkv_bias) {
    w.q_bias = taker.vector(at + "attn_q.bias", d_q);
    w.k_bias = taker.vector(at + "attn_k.bias", d_kv);
    w.v_bias = taker.vector(at + "attn_v.bias", d_kv);
  }
  if (config.has_qk_norm) {
    w.q_norm = taker.vector(at + "attn_q_norm.weight", config.head_dim);
    w.k_norm = taker.vector(at + "attn_k_norm.weight", config.head_dim);
  }
  if (config.has_post_norms) {
    w.attn_post_norm = taker.vector(at + "post_attention_norm.weight", d);
    w.ffn_post_norm = taker.vector(at + "post_ffw_norm.weight", d);
  }
  return w;
}

}  // namespace

size_t Weight::size_bytes() const {
  return tensor::row_size_bytes(type, n_in) * static_cast<size_t>(n_out);
}

std::shared_ptr<const Model> Model::load(const std::filesystem::path& path) {
  return from_file(GgufFile::open(path));
}

std::shared_ptr<const Model> Model::from_file(GgufFile gguf) {
  std::shared_ptr<Model> model(new Model(std::move(gguf)));
  const GgufFile& file = model->file_;
  ModelConfig& config = model->config_;
  config = read_config(file);

  const int n_tokens = check_vocabulary(file);
  if (file.tensor("token_embd.weight") != nullptr && n_tokens != config.n_vocab) {
    throw Error::make(
        ErrorKind::kBadModel,
        "{}: key 'tokenizer.ggml.tokens': found {} tokens, expected {}, the rows of the embedding",
        file.path().string(), n_tokens, config.n_vocab);
  }
  TensorTaker taker(file);
  model->token_embedding_ = taker.matrix("token_embd.weight", config.n_embd, config.n_vocab);
  model->output_norm_ = taker.vector("output_norm.weight", config.n_embd);
  model->output_ = config.has_tied_head
                       ? model->token_embedding_
                       : taker.matrix("output.weight", config.n_embd, config.n_vocab);
  if (!config.rope_global.freq_factors.empty()) taker.mark_used("rope_freqs.weight");
  for (int i = 0; i < config.n_layers; ++i) model->layers_.push_back(take_layer(taker, config, i));
  model->weights_bytes_ = taker.bytes();
  model->n_tensors_ignored_ = taker.count_ignored(config.n_layers);
  return model;
}

}  // namespace ebb::model
