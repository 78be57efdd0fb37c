// Writes small GGUF files in memory, right or deliberately wrong: every count, type and offset can
// be overridden. It shares no code with the reader.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb::model::testing {

class Bytes {
 public:
  template <typename T>
  Bytes& number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    return add(&value, sizeof(T));
  }
  Bytes& raw(std::string_view text) { return add(text.data(), text.size()); }
  Bytes& text(std::string_view value) { return number<uint64_t>(value.size()).raw(value); }
  Bytes& append(const Bytes& other) { return add(other.data.data(), other.data.size()); }
  Bytes& pad_to(size_t unit) {
    data.resize((data.size() + unit - 1) / unit * unit);
    return *this;
  }

  std::vector<std::byte> data;

 private:
  Bytes& add(const void* from, size_t n_bytes) {
    if (n_bytes == 0) return *this;
    const size_t begin = data.size();
    data.resize(begin + n_bytes);
    std::memcpy(data.data() + begin, from, n_bytes);
    return *this;
  }
};

template <typename T>
constexpr uint32_t type_number() {
  if constexpr (std::is_same_v<T, uint8_t>) return 0;
  if constexpr (std::is_same_v<T, int8_t>) return 1;
  if constexpr (std::is_same_v<T, uint16_t>) return 2;
  if constexpr (std::is_same_v<T, int16_t>) return 3;
  if constexpr (std::is_same_v<T, uint32_t>) return 4;
  if constexpr (std::is_same_v<T, int32_t>) return 5;
  if constexpr (std::is_same_v<T, float>) return 6;
  if constexpr (std::is_same_v<T, bool>) return 7;
  if constexpr (std::is_same_v<T, uint64_t>) return 10;
  if constexpr (std::is_same_v<T, int64_t>) return 11;
  if constexpr (std::is_same_v<T, double>) return 12;
}

struct BuiltTensor {
  std::string name;
  std::vector<int64_t> ne;
  uint32_t type = 0;
  size_t size_bytes = 0;  // of the data that is written
  std::optional<uint32_t> n_dims;
  std::optional<uint64_t> offset;
  std::optional<uint64_t> name_length;
  std::vector<float> values;     // data; zeros where empty
  std::vector<std::byte> bytes;  // the same for types other than F32
};

class GgufBuilder {
 public:
  // A value as the bytes behind the key: its type number and payload. Replaces an earlier one.
  GgufBuilder& set_raw(const std::string& key, Bytes value) {
    for (auto& [name, bytes] : values) {
      if (name == key) {
        bytes = std::move(value);
        return *this;
      }
    }
    values.emplace_back(key, std::move(value));
    return *this;
  }
  template <typename T>
  GgufBuilder& set(const std::string& key, T value) {
    return set_raw(key, Bytes().number(type_number<T>()).number(value));
  }
  GgufBuilder& set_text(const std::string& key, std::string_view value) {
    return set_raw(key, Bytes().number<uint32_t>(8).text(value));
  }
  template <typename T>
  GgufBuilder& set_array(const std::string& key, const std::vector<T>& items) {
    Bytes bytes;
    bytes.number<uint32_t>(9).number(type_number<T>()).template number<uint64_t>(items.size());
    for (const T item : items) bytes.number(item);
    return set_raw(key, std::move(bytes));
  }
  GgufBuilder& set_texts(const std::string& key, const std::vector<std::string>& items) {
    Bytes bytes;
    bytes.number<uint32_t>(9).number<uint32_t>(8).number<uint64_t>(items.size());
    for (const std::string& item : items) bytes.text(item);
    return set_raw(key, std::move(bytes));
  }
  GgufBuilder& erase(const std::string& key) {
    std::erase_if(values, [&](const auto& entry) { return entry.first == key; });
    return *this;
  }

  GgufBuilder& add_f32(const std::string& name, std::vector<int64_t> ne) {
    size_t n_bytes = sizeof(float);
    for (const int64_t n : ne) n_bytes *= static_cast<size_t>(n);
    tensors.push_back({name, std::move(ne), 0, n_bytes, {}, {}, {}, {}, {}});
    return *this;
  }
  BuiltTensor& tensor(const std::string& name) {
    for (BuiltTensor& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    throw std::out_of_range(name);
  }
  GgufBuilder& erase_tensor(const std::string& name) {
    std::erase_if(tensors, [&](const BuiltTensor& t) { return t.name == name; });
    return *this;
  }

  // Everything before the tensor data, padded.
  Bytes header() const {
    Bytes out;
    out.raw(magic).number(version);
    out.number<uint64_t>(n_tensors.value_or(tensors.size()));
    out.number<uint64_t>(n_values.value_or(values.size()));
    for (const auto& [key, value] : values) out.text(key).append(value);
    uint64_t offset = 0;
    for (const BuiltTensor& tensor : tensors) {
      out.number<uint64_t>(tensor.name_length.value_or(tensor.name.size())).raw(tensor.name);
      out.number<uint32_t>(tensor.n_dims.value_or(static_cast<uint32_t>(tensor.ne.size())));
      for (const int64_t n : tensor.ne) out.number(n);
      out.number(tensor.type).number<uint64_t>(tensor.offset.value_or(offset));
      offset += (tensor.size_bytes + alignment - 1) / alignment * alignment;
    }
    return out.pad_to(alignment);
  }
  std::vector<std::byte> build() const {
    Bytes out = header();
    for (const BuiltTensor& tensor : tensors) {
      const size_t begin = out.data.size();
      out.data.resize(begin + tensor.size_bytes);
      if (!tensor.values.empty()) {
        std::memcpy(out.data.data() + begin, tensor.values.data(),
                    tensor.values.size() * sizeof(float));
      }
      std::copy(tensor.bytes.begin(), tensor.bytes.end(),
                out.data.begin() + static_cast<std::ptrdiff_t>(begin));
      out.pad_to(alignment);
    }
    return out.data;
  }

  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;  // used for the layout; the key is set apart
  std::optional<uint64_t> n_tensors;
  std::optional<uint64_t> n_values;
  std::vector<std::pair<std::string, Bytes>> values;
  std::vector<BuiltTensor> tensors;
};

inline constexpr int kVocab = 16;

// A complete one-layer llama: 2 query heads on 1 KV head of 16 channels, 16 tokens.
inline GgufBuilder small_llama() {
  GgufBuilder b;
  b.set_text("general.architecture", "llama").set_text("general.name", "small");
  b.set<uint32_t>("llama.block_count", 1).set<uint32_t>("llama.context_length", 128);
  b.set<uint32_t>("llama.embedding_length", 32).set<uint32_t>("llama.feed_forward_length", 32);
  b.set<uint32_t>("llama.attention.head_count", 2)
      .set<uint32_t>("llama.attention.head_count_kv", 1);
  b.set<float>("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  b.set<float>("llama.rope.freq_base", 10000.0F).set<uint32_t>("llama.rope.dimension_count", 16);
  b.set_text("tokenizer.ggml.model", "gpt2").set_text("tokenizer.ggml.pre", "smollm");
  std::vector<std::string> tokens;
  for (int i = 0; i < kVocab; ++i) tokens.push_back(std::string(1, static_cast<char>('a' + i)));
  b.set_texts("tokenizer.ggml.tokens", tokens);
  b.set_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(kVocab, 1));
  b.set_texts("tokenizer.ggml.merges", {"a b", "c d"});
  b.set<uint32_t>("tokenizer.ggml.bos_token_id", 1).set<uint32_t>("tokenizer.ggml.eos_token_id", 2);
  b.set<bool>("tokenizer.ggml.add_bos_token", false);

  b.add_f32("token_embd.weight", {32, kVocab}).add_f32("output_norm.weight", {32});
  const std::string at = "blk.0.";
  b.add_f32(at + "attn_norm.weight", {32}).add_f32(at + "attn_q.weight", {32, 32});
  b.add_f32(at + "attn_k.weight", {32, 16}).add_f32(at + "attn_v.weight", {32, 16});
  b.add_f32(at + "attn_output.weight", {32, 32}).add_f32(at + "ffn_norm.weight", {32});
  b.add_f32(at + "ffn_gate.weight", {32, 32}).add_f32(at + "ffn_up.weight", {32, 32});
  b.add_f32(at + "ffn_down.weight", {32, 32});
  return b;
}

// The same decoder as another architecture, with the tensors that it has beyond llama's.
inline GgufBuilder small_model(const std::string& architecture) {
  GgufBuilder b = small_llama();
  for (auto& [key, value] : b.values) {
    if (key.rfind("llama.", 0) == 0) key = architecture + key.substr(5);
  }
  b.set_text("general.architecture", architecture);
  if (architecture == "qwen2") {
    b.add_f32("blk.0.attn_q.bias", {32})
        .add_f32("blk.0.attn_k.bias", {16})
        .add_f32("blk.0.attn_v.bias", {16});
  }
  if (architecture == "qwen3" || architecture == "gemma3") {
    b.add_f32("blk.0.attn_q_norm.weight", {16}).add_f32("blk.0.attn_k_norm.weight", {16});
  }
  if (architecture == "gemma3") {
    b.add_f32("blk.0.post_attention_norm.weight", {32}).add_f32("blk.0.post_ffw_norm.weight", {32});
  }
  return b;
}

// A folder of its own that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ebb-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

}  // namespace ebb::model::testing
