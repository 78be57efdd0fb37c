// ebb as a library: load a model, talk, evict in between, look at the cache.
// Open this header first; it is the whole public interface. For studies use the ebb command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ebb {

struct ChatOptions {
  std::string numerics = "strict";     // reference, strict or fast
  std::string positions = "original";  // original, compact or colliding
  std::string chat_template;           // "" = the file's own
  std::string system;                  // "" = the template's default
  int n_threads = 0;                   // 0 = all usable cores
};

// The cells of one layer.
struct LayerShape {
  int layer = 0;
  bool is_sliding = false;
  int n_kv_heads = 0;
  int head_dim = 0;
  uint32_t n_cells_min = 0;  // over the KV heads
  uint32_t n_cells_max = 0;
};

// Keys and values of one layer and KV head as float32, in the channel order of HF transformers.
// Shape: [head_dim, n_cells], channel fastest.
struct HeadCopy {
  std::vector<uint32_t> ordinals;  // [n_cells] birth order of the tokens still there
  std::vector<float> keys;
  std::vector<float> values;
};

// One conversation with one model.  Throws: ebb::Error (base/error.h) everywhere.
// Threads: one thread at a time.
class Chat {
 public:
  static Chat open(const std::filesystem::path& gguf, const ChatOptions& options = {});
  ~Chat();
  Chat(Chat&&) noexcept;
  Chat& operator=(Chat&&) noexcept;

  // Says something and returns the greedy reply. Both stay in the cache.
  std::string say(std::string_view text, int n_new_max = 100);

  // StreamingLLM's rule: the first and the last cells stay, the middle goes. A head that holds no
  // more than keep_initial + keep_recent cells is left alone.  Returns how many cells went.
  uint64_t evict_streaming(int64_t keep_initial = 100, int64_t keep_recent = 100);
  // Random cells stay, max(1, floor(n * retention_rate)) in every layer; all heads of a layer keep
  // the same ones. The rate is taken as the decimal it prints as.  Returns how many cells went.
  uint64_t evict_random(double retention_rate = 0.5, uint64_t seed = 0);

  std::vector<LayerShape> cache_shapes() const;
  HeadCopy copy_head(int layer, int kv_head) const;
  size_t cache_bytes() const;  // keys and values of all cells
  int64_t n_tokens() const;    // that the conversation has had, evicted or not

 private:
  struct Impl;
  explicit Chat(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb
