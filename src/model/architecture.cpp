#include "model/architecture.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace ebb::model {
namespace {

constexpr int64_t kMaxLayers = 512;
constexpr int64_t kMaxEmbedding = 65536;
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxFeedForward = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 24;

// Reads keys below "<architecture>." and complains in one form.
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  std::string full(std::string_view key) const { return fmt::format("{}.{}", architecture_, key); }

  template <typename... Args>
  [[noreturn]] void fail(std::string_view key, fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw Error::make(ErrorKind::kBadModel, "{}: key '{}': {}", file_.path().string(), full(key),
                      fmt::format(format, std::forward<Args>(args)...));
  }

  std::optional<int> integer(std::string_view key, int64_t low, int64_t high) const {
    const auto value = file_.u32(full(key));
    if (!value) return std::nullopt;
    return in_range(key, *value, low, high);
  }

  int required_integer(std::string_view key, int64_t low, int64_t high) const {
    const auto value = integer(key, low, high);
    if (!value) missing(key);
    return *value;
  }

  // A number that files may also give per layer; the decoder needs one for all layers.
  std::optional<int> same_for_layers(std::string_view key, int n_layers, int64_t low,
                                     int64_t high) const {
    const auto values = file_.u32_or_array(full(key), static_cast<size_t>(n_layers));
    if (!values) return std::nullopt;
    const auto other = std::adjacent_find(values->begin(), values->end(), std::not_equal_to<>());
    if (other != values->end()) {
      fail(key, "found {} and {}, expected the same number for every layer", *other, *(other + 1));
    }
    return in_range(key, values->front(), low, high);
  }

  int required_for_layers(std::string_view key, int n_layers, int64_t low, int64_t high) const {
    const auto value = same_for_layers(key, n_layers, low, high);
    if (!value) missing(key);
    return *value;
  }

  // Finite and above zero.
  std::optional<float> positive(std::string_view key) const {
    const auto value = file_.f32(full(key));
    if (value && !(std::isfinite(*value) && *value > 0)) {
      fail(key, "found {}, expected a finite number above 0", *value);
    }
    return value;
  }

  // For features that change results and are not built: absent or `neutral`, else an error.
  void refuse_unless(std::string_view key, float neutral, std::string_view feature) const {
    const auto value = file_.f32(full(key));
    if (value && *value != neutral) fail(key, "found {}, but {} is not supported", *value, feature);
  }

  [[noreturn]] void missing(std::string_view key) const {
    fail(key, "found nothing, expected this key in a file of architecture '{}'", architecture_);
  }

  const GgufFile& file() const { return file_; }

 private:
  int in_range(std::string_view key, uint32_t value, int64_t low, int64_t high) const {
    if (value < low || value > high) fail(key, "found {}, expected {} to {}", value, low, high);
    return static_cast<int>(value);
  }

  const GgufFile& file_;
  std::string architecture_;
};

void read_heads(const Keys& keys, ModelConfig& config) {
  const int n_layers = config.n_layers;
  config.n_q_heads = keys.required_for_layers("attention.head_count", n_layers, 1, kMaxEmbedding);
  config.n_kv_heads = keys.same_for_layers("attention.head_count_kv", n_layers, 1, kMaxEmbedding)
                          .value_or(config.n_q_heads);
  if (config.n_q_heads % config.n_kv_heads != 0) {
    keys.fail("attention.head_count_kv", "found {}, expected a divisor of the {} query heads",
              config.n_kv_heads, config.n_q_heads);
  }
  const auto key_length = keys.integer("attention.key_length", 1, kMaxHeadDim);
  if (!key_length && config.n_embd % config.n_q_heads != 0) {
    keys.fail("attention.head_count", "found {}, expected a divisor of the embedding length {}",
              config.n_q_heads, config.n_embd);
  }
  config.head_dim = key_length.value_or(config.n_embd / config.n_q_heads);
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    keys.fail("attention.key_length", "found {} channels a head, expected an even number up to {}",
              config.head_dim, kMaxHeadDim);
  }
  for (const char* key :
       {"attention.value_length", "attention.key_length_swa", "attention.value_length_swa"}) {
    const int length = keys.integer(key, 1, kMaxHeadDim).value_or(config.head_dim);
    if (length != config.head_dim) {
      keys.fail(key, "found {}, expected the key length {}", length, config.head_dim);
    }
  }
  for (const char* key : {"rope.dimension_count", "rope.dimension_count_swa"}) {
    const int n_rot = keys.integer(key, 1, kMaxHeadDim).value_or(config.head_dim);
    if (n_rot != config.head_dim) {
      keys.fail(key, "found {}, expected the head's {} channels (partial rotary is not supported)",
                n_rot, config.head_dim);
    }
  }
}

// 1 for no scaling, 1/f for linear scaling by f.
float read_position_scale(const Keys& keys) {
  const std::string_view type =
      keys.file().string(keys.full("rope.scaling.type")).value_or("linear");
  if (type != "none" && type != "linear") {
    keys.fail("rope.scaling.type", "found '{:.40}', expected 'none' or 'linear'", type);
  }
  keys.refuse_unless("rope.scaling.attn_factor", 1.0F, "a rope attention factor");
  keys.refuse_unless("rope.scaling.alpha", 0.0F, "rope scaling by alpha");
  // A factor of 0 means none: some converters write it.
  for (const char* key : {"rope.scaling.factor", "rope.scale_linear"}) {
    if (keys.file().f32(keys.full(key)).value_or(0.0F) == 0.0F) continue;
    const float factor = *keys.positive(key);
    return type == "none" ? 1.0F : 1.0F / factor;
  }
  return 1.0F;
}

void refuse_unsupported(const Keys& keys) {
  if (const auto n = keys.integer("expert_count", 0, UINT32_MAX); n.value_or(0) != 0) {
    keys.fail("expert_count", "found {}, but mixture-of-experts models are not supported", *n);
  }
  keys.refuse_unless("attention.scale", 0.0F, "an attention scale of its own");
  keys.refuse_unless("logit_scale", 1.0F, "a logit scale");
  keys.refuse_unless("embedding_scale", 1.0F, "an embedding scale of its own");
  keys.refuse_unless("residual_scale", 1.0F, "a residual scale");
  keys.refuse_unless("attention.clamp_kqv", 0.0F, "clamping of q, k and v");
  keys.refuse_unless("attention.max_alibi_bias", 0.0F, "ALiBi");
  if (!keys.file().boolean(keys.full("attention.causal")).value_or(true)) {
    keys.fail("attention.causal", "found false, expected a causal model");
  }
  if (const auto n = keys.file().u32("split.count"); n.value_or(1) > 1) {
    throw Error::make(
        ErrorKind::kBadModel,
        "{}: found part 1 of {} or another part, expected one whole file (merge it with "
        "llama-gguf-split --merge)",
        keys.file().path().string(), *n);
  }
}

// What every decoder has.
void read_common(const Keys& keys, ModelConfig& config) {
  refuse_unsupported(keys);
  config.name = keys.file().string("general.name").value_or("");
  config.n_layers = keys.required_integer("block_count", 1, kMaxLayers);
  config.n_embd = keys.required_integer("embedding_length", 1, kMaxEmbedding);
  config.n_ctx_train = keys.required_integer("context_length", 1, kMaxContext);
  config.n_ff =
      keys.required_for_layers("feed_forward_length", config.n_layers, 1, kMaxFeedForward);
  read_heads(keys, config);

  const auto eps = keys.positive("attention.layer_norm_rms_epsilon");
  if (!eps) keys.missing("attention.layer_norm_rms_epsilon");
  if (*eps >= 1)
    keys.fail("attention.layer_norm_rms_epsilon", "found {}, expected a number below 1", *eps);
  config.norm_eps = *eps;

  config.attention_scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim));
  config.rope_global.base = keys.positive("rope.freq_base").value_or(10000.0F);
  config.rope_global.position_scale = read_position_scale(keys);
  config.rope_sliding = config.rope_global;
  config.layer_class.assign(static_cast<size_t>(config.n_layers), LayerClass::kGlobal);

  config.has_tied_head = keys.file().tensor("output.weight") == nullptr;
  config.has_qkv_bias = keys.file().tensor("blk.0.attn_q.bias") != nullptr;
  if (const TensorInfo* embedding = keys.file().tensor("token_embd.weight")) {
    if (embedding->ne[1] < 1 || embedding->ne[1] > (1 << 24)) {
      throw Error::make(ErrorKind::kBadModel,
                        "{}: tensor 'token_embd.weight': found {} rows, expected 1 to {}",
                        keys.file().path().string(), embedding->ne[1], 1 << 24);
    }
    config.n_vocab = static_cast<int>(embedding->ne[1]);
  }
}

// Llama 3 slows long waves by factors that converters store as a tensor.
std::vector<float> read_freq_factors(const GgufFile& file, int head_dim) {
  const TensorInfo* tensor = file.tensor("rope_freqs.weight");
  if (tensor == nullptr) return {};
  const auto fail = [&](const std::string& found) {
    throw Error::make(
        ErrorKind::kBadModel,
        "{}: tensor 'rope_freqs.weight': found {}, expected {} finite f32 numbers above 0",
        file.path().string(), found, head_dim / 2);
  };
  if (tensor->type != GGML_TYPE_F32 || tensor->n_dims != 1 || tensor->ne[0] != head_dim / 2) {
    fail(fmt::format("{} dimensions, the first {}", tensor->n_dims, tensor->ne[0]));
  }
  std::vector<float> factors(static_cast<size_t>(head_dim) / 2);
  std::memcpy(factors.data(), tensor->data, factors.size() * sizeof(float));
  for (const float factor : factors) {
    if (!std::isfinite(factor) || factor <= 0) fail(fmt::format("{}", factor));
  }
  return factors;
}

// A window at or above the context length never hides anything.
int read_window(const Keys& keys, const ModelConfig& config) {
  const int window = keys.integer("attention.sliding_window", 0, UINT32_MAX >> 1).value_or(0);
  return window >= config.n_ctx_train ? 0 : window;
}

void refuse_window(const Keys& keys, const ModelConfig& config) {
  if (const int window = read_window(keys, config); window != 0) {
    keys.fail("attention.sliding_window",
              "found {}, but sliding windows of this architecture are not supported", window);
  }
}

// Llama, SmolLM2, Mistral. An early Mistral's window holds for every layer.
void read_llama(const Keys& keys, ModelConfig& config) {
  config.rope_layout = RopeLayout::kInterleaved;
  config.rope_global.freq_factors = read_freq_factors(keys.file(), config.head_dim);
  config.rope_sliding = config.rope_global;
  config.window = read_window(keys, config);
  if (config.window > 0)
    std::fill(config.layer_class.begin(), config.layer_class.end(), LayerClass::kSliding);
}

void read_qwen2(const Keys& keys, ModelConfig& config) {
  refuse_window(keys, config);
  config.has_qkv_bias = true;
}

void read_qwen3(const Keys& keys, ModelConfig& config) {
  refuse_window(keys, config);
  config.has_qk_norm = true;
}

// Which layers slide: an array of flags, or "every n-th layer is global".
void read_window_pattern(const Keys& keys, ModelConfig& config) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const auto n_layers = static_cast<size_t>(config.n_layers);
  const MetadataValue* value = keys.file().value(keys.full(kPattern));
  if (value != nullptr && value->type == ValueType::kArray) {
    const auto slides = *keys.file().u32_or_array(keys.full(kPattern), n_layers);
    for (size_t i = 0; i < n_layers; ++i) {
      if (slides[i] != 0) config.layer_class[i] = LayerClass::kSliding;
    }
    return;
  }
  const int every = keys.integer(kPattern, 1, kMaxLayers + 1).value_or(6);
  for (size_t i = 0; i < n_layers; ++i) {
    if ((i + 1) % static_cast<size_t>(every) != 0) config.layer_class[i] = LayerClass::kSliding;
  }
}

// Source: Gemma 3 technical report, arXiv:2503.19786, section 2.
void read_gemma3(const Keys& keys, ModelConfig& config) {
  if (!keys.file().has(keys.full("rope.freq_base"))) keys.missing("rope.freq_base");
  config.embedding_scale = std::sqrt(static_cast<float>(config.n_embd));
  config.activation = Activation::kGeluTanh;
  config.has_qk_norm = true;
  config.has_post_norms = true;
  config.attention_softcap = keys.positive("attn_logit_softcapping").value_or(0.0F);
  config.final_softcap = keys.positive("final_logit_softcapping").value_or(0.0F);
  // Only the 27B model (62 layers) scales by its embedding's share of a head.
  if (config.n_layers == 62) {
    config.attention_scale = 1.0F / std::sqrt(static_cast<float>(config.n_embd / config.n_q_heads));
  }
  config.window = keys.integer("attention.sliding_window", 0, kMaxContext).value_or(0);
  if (config.window > 0) read_window_pattern(keys, config);
  config.rope_sliding = RopeSpec{};  // base 10000, and never scaled
  config.rope_sliding.base = keys.positive("rope.freq_base_swa").value_or(10000.0F);
}

struct Architecture {
  const char* name;
  void (*read)(const Keys&, ModelConfig&);
};
constexpr Architecture kArchitectures[] = {
    {"llama", read_llama}, {"qwen2", read_qwen2}, {"qwen3", read_qwen3}, {"gemma3", read_gemma3}};

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

ModelConfig read_config(const GgufFile& file) {
  const auto name = file.string("general.architecture");
  if (!name) {
    throw Error::make(ErrorKind::kBadModel,
                      "{}: key 'general.architecture': found nothing, expected one of {}",
                      file.path().string(), fmt::join(supported_architectures(), ", "));
  }
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name != *name) continue;
    ModelConfig config;
    config.architecture = *name;
    const Keys keys(file, config.architecture);
    read_common(keys, config);
    architecture.read(keys, config);
    return config;
  }
  const std::string found(name->substr(0, 64));
  throw Error::make(ErrorKind::kBadModel,
                    "{}: key 'general.architecture': found '{}', expected one of {}{}",
                    file.path().string(), found, fmt::join(supported_architectures(), ", "),
                    did_you_mean(found, supported_architectures()));
}

}  // namespace ebb::model
