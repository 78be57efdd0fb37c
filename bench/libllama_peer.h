// libllama as a peer: the same file, tokens and threads as ours, with its own batching and its own
// sharing of prompts. For benchmarks and for the test that compares logits; it samples nothing and
// silences libllama's log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/cell_type.h"

struct llama_context;
struct llama_model;

namespace ebb::bench {

enum class FlashAttention { kOff, kOn };

// One pool of cells for all sequences shares cells but makes every token look at all of them; one
// for each sequence copies what is shared.
enum class PeerCells { kOnePool, kOneEach };

struct PeerOptions {
  int n_threads = 1;
  FlashAttention flash_attention = FlashAttention::kOff;
  CellType cell_type = CellType::kF16;
  int n_ctx = 2048;  // cells, over all sequences
  int n_sequences = 1;
  PeerCells cells = PeerCells::kOnePool;
  int n_logit_rows_max = 1;
};

// Weights, mapped once and shared by contexts.
class PeerModel {
 public:
  // Throws: kBackend when libllama refuses the file.
  explicit PeerModel(const std::filesystem::path& path);
  llama_model* raw() const { return model_.get(); }

 private:
  struct Free {
    void operator()(llama_model* model) const;
  };
  std::unique_ptr<llama_model, Free> model_;
};

// Tokens that one sequence takes in a batch.
struct PeerItem {
  int sequence = 0;
  std::span<const int32_t> ids;
};

// One context. Sequences are numbered from 0; each token's position is its place in its sequence.
class LibllamaPeer {
 public:
  // Throws: kBackend when libllama makes no context.
  LibllamaPeer(std::shared_ptr<const PeerModel> model, const PeerOptions& options);
  ~LibllamaPeer();
  LibllamaPeer(const LibllamaPeer&) = delete;
  LibllamaPeer& operator=(const LibllamaPeer&) = delete;

  // Forgets all sequences.
  void clear();
  // Appends tokens to one sequence, with logits of the last one.  Throws: kBackend when there is no
  // room.
  void append(int sequence, std::span<const int32_t> ids);
  // The same, with logits of tokens 0, every, 2 * every ...
  void append_with_logits(int sequence, std::span<const int32_t> ids, size_t every);
  // Appends one token to each of the sequences first, first + 1 ... in one batch, with logits.
  void append_each(int first, std::span<const int32_t> ids);
  // Appends each item's tokens to its sequence, in as few batches as they fit in, and hands the
  // logits of each one's last token to `on_logits`, with the item's place.
  // Requires: items of at most 2048 tokens.
  void append_items(std::span<const PeerItem> items,
                    const std::function<void(size_t, std::span<float>)>& on_logits);
  // Removes the cells of positions [begin, end); the others keep theirs.
  void evict(int sequence, int begin, int end);
  // Gives `to` the cells of `from` without computing or copying them.
  void share(int from, int to);
  void forget(int sequence);
  // A sequence's cells as bytes, and back.
  std::vector<uint8_t> save(int sequence);
  void restore(int sequence, std::span<const uint8_t> state);

  int n_vocab() const { return n_vocab_; }
  int n_tokens(int sequence) const { return lengths_[static_cast<size_t>(sequence)]; }
  // Logits of row i of those that the last append asked for.  Shape: [n_vocab]; valid until the
  // next.
  std::span<const float> logits(int row) const;

 private:
  struct Free {
    void operator()(llama_context* context) const;
  };
  class Batch;
  void append_part(int sequence, std::span<const int32_t> ids, std::span<const size_t> logits);
  void decode(Batch& batch);

  std::shared_ptr<const PeerModel> model_;
  std::unique_ptr<llama_context, Free> context_;
  int n_vocab_ = 0;
  std::vector<int> lengths_;        // [n_sequences]
  std::vector<size_t> logit_rows_;  // places in the last batch that have logits
};

}  // namespace ebb::bench
