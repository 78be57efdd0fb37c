#include "bench/libllama_peer.h"

#include <llama.h>

#include <algorithm>

#include "base/error.h"

namespace ebb::bench {
namespace {

constexpr size_t kBatchTokens = 2048;
constexpr int kComputeTokens = 512;  // libllama's own default, and ours

void drop_log(ggml_log_level /*level*/, const char* /*text*/, void* /*data*/) {}

ggml_type cell_ggml_type(CellType type) {
  switch (type) {
    case CellType::kF32:
      return GGML_TYPE_F32;
    case CellType::kF16:
      return GGML_TYPE_F16;
    case CellType::kBf16:
      return GGML_TYPE_BF16;
  }
  return GGML_TYPE_F16;
}

llama_context_params context_params(const PeerOptions& options) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(options.n_ctx);
  params.n_batch = kBatchTokens;
  params.n_ubatch = kComputeTokens;
  params.n_seq_max = static_cast<uint32_t>(options.n_sequences);
  params.n_outputs_max =
      static_cast<uint32_t>(std::max(options.n_logit_rows_max, options.n_sequences));
  params.n_threads = options.n_threads;
  params.n_threads_batch = options.n_threads;
  params.flash_attn_type = options.flash_attention == FlashAttention::kOn
                               ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                               : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = cell_ggml_type(options.cell_type);
  params.type_v = cell_ggml_type(options.cell_type);
  params.no_perf = true;
  params.swa_full = false;
  params.kv_unified = options.cells == PeerCells::kOnePool;
  return params;
}

}  // namespace

// Tokens of one call, with libllama's arrays freed at the end.
class LibllamaPeer::Batch {
 public:
  explicit Batch(size_t n_max) : batch_(llama_batch_init(static_cast<int32_t>(n_max), 0, 1)) {}
  ~Batch() { llama_batch_free(batch_); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  void add(int32_t id, int pos, int sequence, bool wants_logits) {
    const int32_t i = batch_.n_tokens++;
    batch_.token[i] = id;
    batch_.pos[i] = pos;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i] = wants_logits ? 1 : 0;
  }
  const llama_batch& raw() const { return batch_; }

 private:
  llama_batch batch_;
};

void PeerModel::Free::operator()(llama_model* model) const { llama_model_free(model); }

PeerModel::PeerModel(const std::filesystem::path& path) {
  llama_log_set(drop_log, nullptr);
  llama_backend_init();
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 0;
  model_.reset(llama_model_load_from_file(path.c_str(), params));
  if (model_ == nullptr) {
    throw Error::make(ErrorKind::kBackend, "{}: libllama does not load this file", path.string());
  }
}

void LibllamaPeer::Free::operator()(llama_context* context) const { llama_free(context); }

LibllamaPeer::LibllamaPeer(std::shared_ptr<const PeerModel> model, const PeerOptions& options)
    : model_(std::move(model)),
      context_(llama_init_from_model(model_->raw(), context_params(options))),
      n_vocab_(llama_vocab_n_tokens(llama_model_get_vocab(model_->raw()))),
      lengths_(static_cast<size_t>(options.n_sequences), 0) {
  if (context_ == nullptr) {
    throw Error::make(ErrorKind::kBackend, "libllama makes no context of {} cells", options.n_ctx);
  }
}

LibllamaPeer::~LibllamaPeer() = default;

void LibllamaPeer::clear() {
  llama_memory_clear(llama_get_memory(context_.get()), false);
  std::fill(lengths_.begin(), lengths_.end(), 0);
}

void LibllamaPeer::decode(Batch& batch) {
  const int status = llama_decode(context_.get(), batch.raw());
  if (status != 0) {
    throw Error::make(ErrorKind::kBackend, "libllama: decoding {} tokens failed with {}",
                      batch.raw().n_tokens, status);
  }
  llama_synchronize(context_.get());
}

void LibllamaPeer::append_part(int sequence, std::span<const int32_t> ids,
                               std::span<const size_t> logits) {
  int& length = lengths_[static_cast<size_t>(sequence)];
  Batch batch(ids.size());
  logit_rows_.assign(logits.begin(), logits.end());
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool wants = std::binary_search(logits.begin(), logits.end(), i);
    batch.add(ids[i], length + static_cast<int>(i), sequence, wants);
  }
  decode(batch);
  length += static_cast<int>(ids.size());
}

void LibllamaPeer::append(int sequence, std::span<const int32_t> ids) {
  EBB_CHECK(!ids.empty());
  while (ids.size() > kBatchTokens) {
    append_part(sequence, ids.first(kBatchTokens), {});
    ids = ids.subspan(kBatchTokens);
  }
  const size_t last = ids.size() - 1;
  append_part(sequence, ids, std::span(&last, 1));
}

void LibllamaPeer::append_with_logits(int sequence, std::span<const int32_t> ids, size_t every) {
  EBB_CHECK(!ids.empty() && ids.size() <= kBatchTokens && every > 0);
  std::vector<size_t> rows;
  for (size_t i = 0; i < ids.size(); i += every) rows.push_back(i);
  append_part(sequence, ids, rows);
}

void LibllamaPeer::append_each(int first, std::span<const int32_t> ids) {
  Batch batch(ids.size());
  logit_rows_.clear();
  for (size_t i = 0; i < ids.size(); ++i) {
    const int sequence = first + static_cast<int>(i);
    batch.add(ids[i], n_tokens(sequence), sequence, true);
    logit_rows_.push_back(i);
  }
  decode(batch);
  for (size_t i = 0; i < ids.size(); ++i) ++lengths_[static_cast<size_t>(first) + i];
}

void LibllamaPeer::append_items(std::span<const PeerItem> items,
                                const std::function<void(size_t, std::span<float>)>& on_logits) {
  for (size_t first = 0; first < items.size();) {
    size_t n_tokens = 0;
    size_t end = first;
    while (end < items.size() && n_tokens + items[end].ids.size() <= kBatchTokens) {
      n_tokens += items[end++].ids.size();
    }
    EBB_CHECK(end > first);
    Batch batch(n_tokens);
    for (size_t i = first; i < end; ++i) {
      int& length = lengths_[static_cast<size_t>(items[i].sequence)];
      for (size_t k = 0; k < items[i].ids.size(); ++k) {
        batch.add(items[i].ids[k], length++, items[i].sequence, k + 1 == items[i].ids.size());
      }
    }
    decode(batch);
    int32_t row = -1;
    for (; first < end; ++first) {
      row += static_cast<int32_t>(items[first].ids.size());
      float* values = llama_get_logits_ith(context_.get(), row);
      EBB_CHECK(values != nullptr);
      on_logits(first, {values, static_cast<size_t>(n_vocab_)});
    }
  }
}

void LibllamaPeer::evict(int sequence, int begin, int end) {
  if (begin >= end) return;
  EBB_CHECK(llama_memory_seq_rm(llama_get_memory(context_.get()), sequence, begin, end));
}

void LibllamaPeer::share(int from, int to) {
  llama_memory_seq_cp(llama_get_memory(context_.get()), from, to, -1, -1);
  lengths_[static_cast<size_t>(to)] = n_tokens(from);
}

void LibllamaPeer::forget(int sequence) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), sequence, -1, -1);
  lengths_[static_cast<size_t>(sequence)] = 0;
}

std::vector<uint8_t> LibllamaPeer::save(int sequence) {
  std::vector<uint8_t> state(llama_state_seq_get_size(context_.get(), sequence));
  const size_t n = llama_state_seq_get_data(context_.get(), state.data(), state.size(), sequence);
  if (n == 0) throw Error(ErrorKind::kBackend, "libllama: saving a sequence failed");
  state.resize(n);
  return state;
}

void LibllamaPeer::restore(int sequence, std::span<const uint8_t> state) {
  if (llama_state_seq_set_data(context_.get(), state.data(), state.size(), sequence) == 0) {
    throw Error(ErrorKind::kBackend, "libllama: restoring a sequence failed");
  }
  lengths_[static_cast<size_t>(sequence)] =
      llama_memory_seq_pos_max(llama_get_memory(context_.get()), sequence) + 1;
}

std::span<const float> LibllamaPeer::logits(int row) const {
  const float* values = llama_get_logits_ith(
      context_.get(), static_cast<int32_t>(logit_rows_[static_cast<size_t>(row)]));
  EBB_CHECK(values != nullptr);
  return {values, static_cast<size_t>(n_vocab_)};
}

}  // namespace ebb::bench
