#include "engine/memory_plan.h"

#include <algorithm>

#include "engine/token_table.h"
#include "engine/weights.h"
#include "kernels/attention.h"
#include "kv/cell_format.h"
#include "policy/evictor.h"

namespace ebb::engine {
namespace {

// Code, libraries and their tables. Measured: 17 MB before a model is there, 24 MB while one runs.
constexpr uint64_t kProgramBytes = uint64_t{24} << 20;

uint64_t rounded_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

uint64_t cells_in_layer(const model::ModelConfig& c, int layer, int64_t n_cells, int n_rows) {
  const int64_t most = c.is_sliding(layer) ? int64_t{c.window} + n_rows : n_cells;
  return static_cast<uint64_t>(std::min(n_cells, most));
}

uint64_t bytes_of_cells(const model::ModelConfig& c, const kv::CellFormat& format,
                        const SequenceNeed& need, int n_rows) {
  uint64_t n_pages = 0;
  for (int layer = 0; layer < c.n_layers; ++layer) {
    const uint64_t n = cells_in_layer(c, layer, need.n_cells, n_rows);
    n_pages += (n + format.cells_per_page() - 1) / format.cells_per_page();
  }
  n_pages *= static_cast<uint64_t>(c.n_kv_heads);
  const uint64_t page = format.page_bytes() + 256;  // and its ordinals and spans
  const bool has_derived = need.positions == PositionMode::kCompact;
  return n_pages * (page + (has_derived ? format.key_page_bytes() : 0));
}

uint64_t signal_bytes(const model::ModelConfig& c, const SequenceNeed& need, int n_rows) {
  uint64_t n_bytes = 0;
  const auto queries = static_cast<uint64_t>(c.n_q_heads) * static_cast<uint64_t>(c.head_dim);
  const auto n_layers = static_cast<uint64_t>(c.n_layers);
  if (need.needs.attention_sum) {
    for (int layer = 0; layer < c.n_layers; ++layer) {
      n_bytes += cells_in_layer(c, layer, need.n_cells, n_rows) *
                 static_cast<uint64_t>(c.n_kv_heads) * sizeof(int64_t);
    }
  }
  const auto window = static_cast<uint64_t>(std::max<int64_t>(0, need.needs.attention_window));
  n_bytes += 2 * window * queries * n_layers * sizeof(float);
  if (need.needs.query_moments) {
    n_bytes += queries * static_cast<uint64_t>(c.head_dim + 1) * n_layers * sizeof(float);
  }
  return n_bytes;
}

// The largest layer as a policy sees it, in floats; two of them where one is read ahead.
uint64_t view_bytes(const model::ModelConfig& c, const SequenceNeed& need, int n_rows,
                    int n_threads) {
  const auto d = static_cast<uint64_t>(c.head_dim);
  const auto n_kv_heads = static_cast<uint64_t>(c.n_kv_heads);
  const auto n_q_heads = static_cast<uint64_t>(c.n_q_heads);
  uint64_t n_cells = 0;
  for (int layer = 0; layer < c.n_layers; ++layer) {
    n_cells = std::max(n_cells, cells_in_layer(c, layer, need.n_cells, n_rows));
  }
  const policy::Needs& needs = need.needs;
  uint64_t n = n_cells * n_kv_heads * 2;  // ordinals and spans
  if (needs.keys || needs.values) n += 2 * n_cells * n_kv_heads * d;
  if (needs.attention_sum) n += n_cells * n_kv_heads;
  if (needs.attention_window > 0) n += 3 * n_cells * n_q_heads;  // and the sums behind it
  if (needs.query_moments) n += n_q_heads * d * (d + 1);
  if (needs.output_projection) n += static_cast<uint64_t>(c.n_embd) * n_q_heads * d;
  return n * sizeof(float) * (n_threads == 1 ? 1 : 2);
}

// What threads that share one long cache found in its blocks, before it is put together.
uint64_t split_bytes(const model::ModelConfig& c, uint64_t n_tokens, int n_threads) {
  if (n_threads == 1) return 0;
  const uint64_t n_blocks = n_tokens / kernels::kOrdinalBlock + 1;
  return static_cast<uint64_t>(c.n_kv_heads) * n_blocks * kernels::kAttentionRows *
         static_cast<uint64_t>(c.head_dim + 2) * sizeof(float);
}

size_t largest_weight(const model::Model& model) {
  size_t largest = model.output().size_bytes();
  for (int i = 0; i < model.config().n_layers; ++i) {
    largest = std::max(largest, model.layer(i).ffn_down.size_bytes());
  }
  return largest;
}

// The tokenizer keeps each token twice and in a table; merges as pairs of texts.
uint64_t vocabulary_bytes(const model::Model& model) {
  const model::MetadataValue* merges = model.file().value("tokenizer.ggml.merges");
  return static_cast<uint64_t>(model.config().n_vocab) * 200 +
         (merges == nullptr ? 0 : merges->n * 150);
}

}  // namespace

uint64_t MemoryPlan::total() const {
  uint64_t sum = 0;
  for (const MemoryPart& part : parts) sum += part.n_bytes;
  return sum;
}

uint64_t MemoryPlan::predicted_peak() const {
  return std::max(loading_bytes, total() + file_bytes);
}

policy::CacheShape cache_shape_of(const model::ModelConfig& c, size_t cell_bytes) {
  policy::CacheShape shape;
  shape.n_layers = c.n_layers;
  shape.n_q_heads = c.n_q_heads;
  shape.n_kv_heads = c.n_kv_heads;
  shape.head_dim = c.head_dim;
  shape.n_embd = c.n_embd;
  shape.attention_scale = c.attention_scale;
  shape.cell_bytes = cell_bytes;
  for (int i = 0; i < c.n_layers; ++i) shape.is_sliding.push_back(c.is_sliding(i));
  return shape;
}

SequenceNeed sequence_need(const model::ModelConfig& config, const policy::Treatment& treatment,
                           int64_t n_cells) {
  const policy::CacheShape shape = cache_shape_of(config, 0);
  const policy::Evictor evictor(treatment, shape, 0, "");
  return {.n_cells = n_cells, .positions = treatment.positions, .needs = evictor.needs()};
}

uint64_t predict_step_bytes(const model::ModelConfig& c, int n_rows, int n_logit_rows) {
  // The widest moment of a layer: input, what is made of it, gate, up and their product, whether
  // prepared for our kernels or not; or q, k, v and the output.
  const auto ffn = static_cast<uint64_t>(2 * c.n_embd + 3 * c.n_ff);
  const auto attention = static_cast<uint64_t>(2 * c.n_embd + 3 * c.n_q_heads * c.head_dim +
                                               2 * c.n_kv_heads * c.head_dim);
  const uint64_t layer = std::max(ffn, attention) * static_cast<uint64_t>(n_rows);
  // A cap on logits is an operator of its own.
  const int64_t n_vocab = c.final_softcap > 0.0F ? 2 * c.n_vocab : c.n_vocab;
  const uint64_t head =
      static_cast<uint64_t>(n_logit_rows) * static_cast<uint64_t>(n_vocab + 2 * c.n_embd);
  return (layer + head) * sizeof(float);
}

MemoryPlan plan_memory(const model::Model& model, const EngineOptions& options,
                       std::span<const SequenceNeed> sequences, int n_rows, int n_logit_rows) {
  const model::ModelConfig& c = model.config();
  const CellType default_type =
      options.numerics == Numerics::kReference ? CellType::kF32 : CellType::kF16;
  const kv::CellFormat format{options.cell_type.value_or(default_type), c.head_dim};
  uint64_t cells = 0;
  uint64_t signals = 0;
  uint64_t view = 0;
  uint64_t n_tokens = 0;  // of the longest
  uint64_t n_tokens_all = 0;
  for (const SequenceNeed& need : sequences) {
    cells += bytes_of_cells(c, format, need, n_rows);
    signals += signal_bytes(c, need, n_rows);
    view = std::max(view, view_bytes(c, need, n_rows, options.n_threads));
    n_tokens = std::max(n_tokens, static_cast<uint64_t>(need.n_cells));
    n_tokens_all += static_cast<uint64_t>(need.n_cells);
  }
  MemoryPlan plan;
  const uint64_t packed = predict_packed_bytes(model, options);
  const uint64_t program = kProgramBytes + vocabulary_bytes(model);
  plan.parts = {{"weights, repacked", packed},
                {"cells", rounded_up(cells, uint64_t{4} << 20)},
                {"signals of policies", signals},
                {"a layer as policies see it", view},
                {"activations and logits", predict_step_bytes(c, n_rows, n_logit_rows) +
                                               split_bytes(c, n_tokens, options.n_threads)},
                {"program and vocabulary", program}};
  const uint64_t table = model.token_embedding().size_bytes();
  const uint64_t mapped =
      std::min(n_tokens_all * kFaultAroundBytes,
               kTableBytesMapped + static_cast<uint64_t>(n_rows) * kFaultAroundBytes);
  plan.file_bytes =
      packed > 0 ? std::min(table, mapped) : static_cast<uint64_t>(model.weights_bytes());
  plan.loading_bytes = packed > 0 ? packed + largest_weight(model) + program : 0;
  return plan;
}

}  // namespace ebb::engine
