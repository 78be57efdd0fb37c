// ebb-make-gemma12b: writes a file with the exact shapes, metadata and vocabulary size of Gemma 3
// 12B and random weights, to measure speed and memory and to try the loader where the real file is
// out of reach. The text that such a model writes means nothing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "gguf_output.h"

namespace {

namespace fs = std::filesystem;
using ebb::Error;
using ebb::ErrorKind;
using ebb::tools::GgmlHandle;
using ebb::tools::GgufHandle;
using ebb::tools::GgufInput;
using ebb::tools::GgufOutput;

constexpr int kEmbd = 3840;
constexpr int kFeedForward = 15360;
constexpr int kQHeads = 16;
constexpr int kKvHeads = 8;
constexpr int kHeadDim = 256;
constexpr int kLayers = 48;
constexpr int kLayersMax = 512;
constexpr int kWindow = 1024;

struct Options {
  std::string tokenizer;
  std::string out;
  std::string type = "q4_0";
  std::string embedding = "q6_k";
  int n_layers = kLayers;
  uint64_t seed = 1;
};

// SplitMix64: enough for weights that only have to look busy.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  float uniform() { return static_cast<float>(next() >> 40U) * 0x1p-24F; }  // [0, 1)
  void fill(std::byte* out, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i += sizeof(uint64_t)) {
      const uint64_t word = next();
      std::memcpy(out + i, &word, std::min(sizeof(word), n_bytes - i));
    }
  }

 private:
  uint64_t state_;
};

void store_half(std::byte* at, float value) {
  const ggml_fp16_t half = ggml_fp32_to_fp16(value);
  std::memcpy(at, &half, sizeof(half));
}

// A block scale of either sign, so that the weights' mean is 0 although the codes' is not.
float random_scale(Random& random, float middle) {
  const float size = middle * (0.75F + 0.5F * random.uniform());
  return (random.next() & 1U) != 0 ? size : -size;
}

// One block with weights of standard deviation `sigma`. The constants are the standard deviation of
// a uniform code: 4.61 for 16 levels, 73.9 for 256, 18.5 for 64 levels times a mean sub-scale
// of 96.
void fill_block(ggml_type type, float sigma, Random& random, std::byte* block) {
  random.fill(block, ggml_type_size(type));
  if (type == GGML_TYPE_Q4_0) {  // half d, 16 bytes of codes
    store_half(block, random_scale(random, sigma / 4.61F));
  } else if (type == GGML_TYPE_Q8_0) {  // half d, 32 codes
    store_half(block, random_scale(random, sigma / 73.9F));
  } else {  // Q6_K: 128 + 64 bytes of codes, 16 sub-scales, half d
    for (size_t i = 192; i < 208; ++i) {
      block[i] = static_cast<std::byte>(64U + (static_cast<unsigned>(block[i]) & 63U));
    }
    store_half(block + 208, random_scale(random, sigma / (18.5F * 96.0F)));
  }
}

ggml_type parse_type(const std::string& name) {
  const std::vector<std::string> known = {"q4_0", "q8_0", "q6_k"};
  constexpr std::array<ggml_type, 3> kTypes = {GGML_TYPE_Q4_0, GGML_TYPE_Q8_0, GGML_TYPE_Q6_K};
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i] == name) {
      return kTypes[i];
    }
  }
  throw Error::make(ErrorKind::kUsage, "--type: found '{}', expected q4_0, q8_0 or q6_k{}", name,
                    ebb::did_you_mean(name, known));
}

void set_hyper_parameters(gguf_context* header, const Options& options) {
  gguf_set_val_str(header, "general.architecture", "gemma3");
  gguf_set_val_str(header, "general.name", "Gemma 3 12B shape, random weights");
  gguf_set_val_u32(header, "general.quantization_version", 2);
  gguf_set_val_u32(header, "general.file_type",
                   options.type == "q4_0"   ? 2
                   : options.type == "q8_0" ? 7
                                            : 18);
  gguf_set_val_u32(header, "gemma3.context_length", 131072);
  gguf_set_val_u32(header, "gemma3.embedding_length", kEmbd);
  gguf_set_val_u32(header, "gemma3.block_count", static_cast<uint32_t>(options.n_layers));
  gguf_set_val_u32(header, "gemma3.feed_forward_length", kFeedForward);
  gguf_set_val_u32(header, "gemma3.attention.head_count", kQHeads);
  gguf_set_val_u32(header, "gemma3.attention.head_count_kv", kKvHeads);
  gguf_set_val_u32(header, "gemma3.attention.key_length", kHeadDim);
  gguf_set_val_u32(header, "gemma3.attention.value_length", kHeadDim);
  gguf_set_val_f32(header, "gemma3.attention.layer_norm_rms_epsilon", 1e-6F);
  gguf_set_val_u32(header, "gemma3.attention.sliding_window", kWindow);
  gguf_set_val_f32(header, "gemma3.rope.freq_base", 1e6F);
  gguf_set_val_str(header, "gemma3.rope.scaling.type", "linear");
  gguf_set_val_f32(header, "gemma3.rope.scaling.factor", 8.0F);
}

int64_t vocabulary_size(const GgufInput& source) {
  const int64_t key = gguf_find_key(source.header.get(), "tokenizer.ggml.tokens");
  if (key < 0 || gguf_get_kv_type(source.header.get(), key) != GGUF_TYPE_ARRAY ||
      gguf_get_arr_n(source.header.get(), key) == 0) {
    throw Error::make(ErrorKind::kBadModel, "{}: found no vocabulary (tokenizer.ggml.tokens)",
                      source.path.string());
  }
  return static_cast<int64_t>(gguf_get_arr_n(source.header.get(), key));
}

// The source's whole metadata but for its own architecture's keys: what remains is the tokenizer.
void copy_tokenizer(gguf_context* header, const GgufInput& source) {
  gguf_set_kv(header, source.header.get());
  for (int64_t i = gguf_get_n_kv(header) - 1; i >= 0; --i) {
    const std::string key = gguf_get_key(header, i);
    if (!key.starts_with("tokenizer.")) {
      gguf_remove_key(header, key.c_str());
    }
  }
}

class Layout {
 public:
  Layout(gguf_context* header, int n_layers)
      : header_(header),
        context_(ggml_init(
            {.mem_size = ggml_tensor_overhead() * (static_cast<size_t>(n_layers) * 13 + 2),
             .mem_buffer = nullptr,
             .no_alloc = true})) {}
  void norm(const std::string& name, int64_t n) {
    add(name, ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, n));
  }
  void matrix(const std::string& name, ggml_type type, int64_t n_in, int64_t n_out) {
    add(name, ggml_new_tensor_2d(context_.get(), type, n_in, n_out));
  }

 private:
  void add(const std::string& name, ggml_tensor* tensor) {
    ggml_set_name(tensor, name.c_str());
    gguf_add_tensor(header_, tensor);
  }
  gguf_context* header_;
  GgmlHandle context_;
};

void add_tensors(gguf_context* header, const Options& options, int64_t n_vocab) {
  const ggml_type type = parse_type(options.type);
  Layout layout(header, options.n_layers);
  layout.matrix("token_embd.weight", parse_type(options.embedding), kEmbd, n_vocab);
  layout.norm("output_norm.weight", kEmbd);
  for (int i = 0; i < options.n_layers; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    layout.norm(block + "attn_norm.weight", kEmbd);
    layout.matrix(block + "attn_q.weight", type, kEmbd, kQHeads * kHeadDim);
    layout.matrix(block + "attn_k.weight", type, kEmbd, kKvHeads * kHeadDim);
    layout.matrix(block + "attn_v.weight", type, kEmbd, kKvHeads * kHeadDim);
    layout.matrix(block + "attn_output.weight", type, kQHeads * kHeadDim, kEmbd);
    layout.norm(block + "attn_q_norm.weight", kHeadDim);
    layout.norm(block + "attn_k_norm.weight", kHeadDim);
    layout.norm(block + "post_attention_norm.weight", kEmbd);
    layout.norm(block + "ffn_norm.weight", kEmbd);
    layout.matrix(block + "ffn_gate.weight", type, kEmbd, kFeedForward);
    layout.matrix(block + "ffn_up.weight", type, kEmbd, kFeedForward);
    layout.matrix(block + "ffn_down.weight", type, kFeedForward, kEmbd);
    layout.norm(block + "post_ffw_norm.weight", kEmbd);
  }
}

struct Plan {
  ggml_type type;
  size_t n_bytes;
  int64_t n_in;  // inputs of a row: a weight's size shrinks with their root
};

void write_tensor(GgufOutput& output, const Plan& plan, uint64_t seed) {
  constexpr size_t kBlocksAtOnce = 1 << 16;
  Random random(seed);
  if (plan.type == GGML_TYPE_F32) {
    std::vector<float> norm(plan.n_bytes / sizeof(float));
    for (float& value : norm) {
      value = 0.9F + 0.2F * random.uniform();
    }
    output.append(std::as_bytes(std::span<const float>(norm)));
    return;
  }
  const size_t block_bytes = ggml_type_size(plan.type);
  const float sigma = 1.0F / std::sqrt(static_cast<float>(plan.n_in));
  std::vector<std::byte> buffer;
  for (size_t done = 0; done < plan.n_bytes; done += buffer.size()) {
    buffer.resize(std::min(kBlocksAtOnce * block_bytes, plan.n_bytes - done));
    for (size_t at = 0; at < buffer.size(); at += block_bytes) {
      fill_block(plan.type, sigma, random, buffer.data() + at);
    }
    output.append(buffer);
  }
}

int64_t row_length(std::string_view name) {
  if (name.ends_with("ffn_down.weight")) {
    return kFeedForward;
  }
  return name.ends_with("attn_output.weight") ? kQHeads * kHeadDim : kEmbd;
}

void make_model(const Options& options) {
  if (options.n_layers < 1 || options.n_layers > kLayersMax) {
    throw Error::make(ErrorKind::kUsage, "--layers: found {}, expected 1 to {}", options.n_layers,
                      kLayersMax);
  }
  parse_type(options.type);
  parse_type(options.embedding);
  GgufInput source(options.tokenizer);
  std::error_code ignored;
  if (fs::equivalent(options.tokenizer, options.out, ignored)) {
    throw Error::make(ErrorKind::kUsage, "{}: input and output are the same file", options.out);
  }
  GgufHandle header(gguf_init_empty());
  copy_tokenizer(header.get(), source);
  set_hyper_parameters(header.get(), options);
  add_tensors(header.get(), options, vocabulary_size(source));
  std::vector<Plan> plans;
  for (int64_t i = 0; i < gguf_get_n_tensors(header.get()); ++i) {
    plans.push_back({.type = gguf_get_tensor_type(header.get(), i),
                     .n_bytes = gguf_get_tensor_size(header.get(), i),
                     .n_in = row_length(gguf_get_tensor_name(header.get(), i))});
  }
  GgufOutput output(std::move(header), options.out);
  for (size_t i = 0; i < plans.size(); ++i) {
    write_tensor(output, plans[i], (options.seed << 20U) + i);
  }
  output.commit();
  fmt::print("{}: {} layers, {} MiB\n", options.out, options.n_layers,
             fs::file_size(options.out) >> 20);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes a random model with the shape of Gemma 3 12B.", "ebb-make-gemma12b");
  Options options;
  app.add_option("TOKENIZER.gguf", options.tokenizer, "a Gemma 3 file to take the vocabulary from")
      ->required();
  app.add_option("OUT.gguf", options.out, "file to write")->required();
  app.add_option("--type", options.type, "weights: q4_0, q8_0 or q6_k")->capture_default_str();
  app.add_option("--embedding", options.embedding, "embedding and head: q4_0, q8_0 or q6_k")
      ->capture_default_str();
  app.add_option("--layers", options.n_layers, "fewer layers make a smaller file")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the random weights")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return ebb::tools::run_tool("ebb-make-gemma12b", [&] { make_model(options); });
}
