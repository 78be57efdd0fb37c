#include "engine/graph.h"

#include <ggml-alloc.h>
#include <ggml-cpp.h>
#include <ggml-cpu.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <map>
#include <utility>

#include "base/error.h"
#include "engine/ops.h"
#include "engine/thread_choice.h"
#include "kernels/linear.h"
#include "tensor/types.h"

namespace ebb::engine {
namespace {

// Userdata of our linear operator.
struct LinearOp {
  const Linear* linear = nullptr;
};

void run_prepare(ggml_tensor* dst, int ith, int nth, void* userdata) {
  const auto& op = *static_cast<const LinearOp*>(userdata);
  const ggml_tensor* x = dst->src[0];
  const int64_t n_rows = x->ne[1];
  const kernels::ActivationRows rows{static_cast<const float*>(x->data), x->ne[0],
                                     static_cast<int64_t>(x->nb[1] / sizeof(float))};
  kernels::prepare_rows(kernels::form_for(*op.linear->packed, n_rows), rows, n_rows * ith / nth,
                        n_rows * (ith + 1) / nth, dst->data);
}

void run_multiply(ggml_tensor* dst, int ith, int nth, void* userdata) {
  const auto& op = *static_cast<const LinearOp*>(userdata);
  kernels::multiply({.weight = *op.linear->packed,
                     .prepared = dst->src[0]->data,
                     .n_rows = dst->ne[1],
                     .y = static_cast<float*>(dst->data),
                     .y_stride = static_cast<int64_t>(dst->nb[1] / sizeof(float)),
                     .bias = op.linear->bias.empty() ? nullptr : op.linear->bias.data(),
                     .ith = ith,
                     .nth = nth});
}

std::vector<float> rope_frequencies(const model::RopeSpec& spec, int head_dim) {
  std::vector<float> out;
  for (int i = 0; i < head_dim / 2; ++i) {
    double f = std::pow(static_cast<double>(spec.base), -2.0 * i / head_dim) * spec.position_scale;
    if (!spec.freq_factors.empty()) f /= spec.freq_factors[static_cast<size_t>(i)];
    out.push_back(static_cast<float>(f));
  }
  return out;
}

kernels::RopeTable make_rope(const model::RopeSpec& spec, const model::ModelConfig& config) {
  const bool is_interleaved = config.rope_layout == model::RopeLayout::kInterleaved;
  return {rope_frequencies(spec, config.head_dim),
          is_interleaved ? kernels::RotaryPairs::kInterleaved : kernels::RotaryPairs::kHalfSplit};
}

// Every operation of a step ends with a barrier, and a thread that shares its core may come to each
// a time slice late: a share of work worth that is at least a tenth of a millisecond.
constexpr double kProductsPerThread = 4e6;

double products_per_row(const model::Model& model) {
  const model::ModelConfig& c = model.config();
  double n = 0;
  for (int i = 0; i < c.n_layers; ++i) {
    const model::LayerWeights& layer = model.layer(i);
    for (const model::Weight* weight : {&layer.q, &layer.k, &layer.v, &layer.attn_out,
                                        &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      n += static_cast<double>(weight->n_in) * static_cast<double>(weight->n_out);
    }
  }
  return n;
}

}  // namespace

struct StepGraph::Impl {
  const model::Model& model;
  const model::ModelConfig& config;
  const EngineWeights& weights;
  const EngineOptions options;
  const int n_threads;
  const double n_products_per_row;  // of the linear layers
  ThreadChoice choice;
  kernels::RopeTable rope_global;
  kernels::RopeTable rope_sliding;
  std::vector<kernels::AttentionScratch> scratch;
  std::deque<kernels::BlockResults> split_results;  // of the layer being computed
  ggml_gallocr_ptr allocator;
  std::vector<uint8_t> work;
  std::vector<float> raw_queries;    // of the layer being computed
  std::vector<uint8_t> description;  // memory of the graph's tensor structs
  size_t compute_bytes = 0;
  std::vector<std::vector<HeadPlan>> head_memory;  // [n_layers], between two steps

  // Of the step being built; operators point into these.
  ggml_context_ptr context;
  ggml_cgraph* graph = nullptr;
  ggml_tensor* wanted = nullptr;  // which rows have logits; null: none
  ggml_cplan plan{};
  int step_threads = 1;
  StepFailure failure;
  EmbedOp embed;
  std::deque<GuardedOp> guards;
  std::deque<NormOp> norms;
  std::deque<LinearOp> linears;
  std::deque<LayerOp> layers;
  float softcap = 0.0F;
  std::map<std::pair<const ggml_tensor*, kernels::ActivationForm>, ggml_tensor*> prepared;

  Impl(const model::Model& m, const EngineWeights& w, const EngineOptions& o, int threads)
      : model(m),
        config(m.config()),
        weights(w),
        options(o),
        n_threads(threads),
        n_products_per_row(products_per_row(m)),
        choice(threads),
        rope_global(make_rope(config.rope_global, config)),
        rope_sliding(make_rope(config.rope_sliding, config)),
        scratch(static_cast<size_t>(threads)),
        allocator(ggml_gallocr_new(ggml_backend_cpu_buffer_type())),
        description(ggml_tensor_overhead() * max_nodes() +
                    ggml_graph_overhead_custom(max_nodes(), false)),
        head_memory(static_cast<size_t>(config.n_layers)) {}

  size_t max_nodes() const { return static_cast<size_t>(config.n_layers) * 40 + 40; }

  ggml_tensor* custom(ggml_type type, int64_t n, int64_t rows,
                      std::initializer_list<ggml_tensor*> args, ggml_custom_op_t op,
                      void* userdata) {
    std::vector<ggml_tensor*> list(args);
    guards.push_back({op, userdata, &failure});
    return ggml_custom_4d(context.get(), type, n, rows, 1, 1, list.data(),
                          static_cast<int>(list.size()), run_guarded, GGML_N_TASKS_MAX,
                          &guards.back());
  }

  ggml_tensor* norm(ggml_tensor* x, const std::vector<float>& weight) {
    norms.push_back({weight.data(), config.norm_eps});
    return custom(GGML_TYPE_F32, x->ne[0], x->ne[1], {x}, run_norm, &norms.back());
  }

  // y = W x. Prepared activations are shared by all matrices that read the same x.
  ggml_tensor* linear(ggml_tensor* x, const Linear& layer) {
    if (!layer.packed) return ggml_mul_mat(context.get(), layer.tensor, x);
    linears.push_back({&layer});
    const kernels::ActivationForm form = kernels::form_for(*layer.packed, x->ne[1]);
    ggml_tensor*& ready = prepared[{x, form}];
    if (ready == nullptr) {
      const size_t bytes = kernels::prepared_row_bytes(form, layer.n_in);
      ready =
          custom(GGML_TYPE_I8, static_cast<int64_t>(bytes),
                 kernels::prepared_row_count(form, x->ne[1]), {x}, run_prepare, &linears.back());
    }
    return custom(GGML_TYPE_F32, layer.n_out, x->ne[1], {ready}, run_multiply, &linears.back());
  }

  LayerOp& plan_layer(int index, const std::vector<RowBlock>& blocks) {
    const LayerLinears& layer = weights.layer(index);
    const auto data_or_null = [](const std::vector<float>& v) {
      return v.empty() ? nullptr : v.data();
    };
    const bool adds_bias = !layer.q.packed.has_value();  // our kernels add the bias themselves
    LayerOp& op = layers.emplace_back();
    op.config = &config;
    op.rope = &rope(index);
    op.q_norm = data_or_null(layer.q_norm);
    op.k_norm = data_or_null(layer.k_norm);
    if (adds_bias) {
      op.q_bias = data_or_null(layer.q.bias);
      op.k_bias = data_or_null(layer.k.bias);
      op.v_bias = data_or_null(layer.v.bias);
    }
    op.blocks = &blocks;
    op.format = blocks.front().sequence->cells().format();
    op.shape = {.head_dim = config.head_dim,
                .type = op.format.type,
                .scale = config.attention_scale,
                .softcap = config.attention_softcap,
                .window = config.is_sliding(index) ? static_cast<uint32_t>(config.window) : 0};
    op.scratch = &scratch;
    op.layer = index;
    op.raw_queries = raw_queries.empty() ? nullptr : raw_queries.data();
    op.heads.swap(head_memory[static_cast<size_t>(index)]);
    plan_heads(blocks, index, config.n_kv_heads, op.heads);
    op.attention = plan_attention(blocks, op.heads, config, step_threads, split_results);
    return op;
  }

  ggml_tensor* attention_block(ggml_tensor* x, int index, const std::vector<RowBlock>& blocks) {
    const LayerLinears& layer = weights.layer(index);
    LayerOp& op = plan_layer(index, blocks);
    ggml_tensor* h = norm(x, layer.attn_norm);
    ggml_tensor* q = linear(h, layer.q);
    ggml_tensor* k = linear(h, layer.k);
    ggml_tensor* v = linear(h, layer.v);
    ggml_tensor* turned =
        custom(GGML_TYPE_F32, q->ne[0], q->ne[1], {q, k, v}, run_rope_and_store, &op);
    if (op.raw_queries != nullptr) {
      // Nothing reads its result, so it is put into the graph by hand, before the next layer's
      // queries.
      ggml_build_forward_expand(graph, custom(GGML_TYPE_I8, 1, 1, {turned}, run_observe, &op));
    }
    ggml_tensor* attended = custom(GGML_TYPE_F32, q->ne[0], q->ne[1], {turned}, run_attend, &op);
    ggml_tensor* out = linear(attended, layer.attn_out);
    if (config.has_post_norms) out = norm(out, layer.attn_post_norm);
    return ggml_add(context.get(), x, out);
  }

  ggml_tensor* feed_forward_block(ggml_tensor* x, int index) {
    const LayerLinears& layer = weights.layer(index);
    ggml_tensor* h = norm(x, layer.ffn_norm);
    ggml_tensor* gate = linear(h, layer.ffn_gate);
    ggml_tensor* up = linear(h, layer.ffn_up);
    const auto gated = config.activation == model::Activation::kSilu ? run_silu_mul : run_gelu_mul;
    ggml_tensor* active =
        custom(GGML_TYPE_F32, gate->ne[0], gate->ne[1], {gate, up}, gated, nullptr);
    ggml_tensor* out = linear(active, layer.ffn_down);
    if (config.has_post_norms) out = norm(out, layer.ffn_post_norm);
    return ggml_add(context.get(), x, out);
  }

  ggml_tensor* head(ggml_tensor* x) {
    ggml_tensor* out = ggml_get_rows(context.get(), x, wanted);
    out = linear(norm(out, weights.output_norm()), weights.output());
    if (config.final_softcap > 0.0F) {
      softcap = config.final_softcap;
      out = custom(GGML_TYPE_F32, out->ne[0], out->ne[1], {out}, run_softcap, &softcap);
    }
    return out;
  }

  const kernels::RopeTable& rope(int layer) const {
    return config.is_sliding(layer) ? rope_sliding : rope_global;
  }

  void start_step() {
    failure.clear();
    guards.clear();
    norms.clear();
    linears.clear();
    for (LayerOp& op : layers) op.heads.swap(head_memory[static_cast<size_t>(op.layer)]);
    layers.clear();
    prepared.clear();
    context.reset(ggml_init({description.size(), description.data(), true}));
    EBB_CHECK(context != nullptr);
  }

  // Where the caller left the number open, a step that is done before threads have met takes one.
  int threads_for(size_t n_rows) {
    if (options.n_threads > 0) return n_threads;
    const double n_shares = n_products_per_row * static_cast<double>(n_rows) / kProductsPerThread;
    const int n_useful = std::clamp(static_cast<int>(std::min(n_shares, 1e6)), 1, n_threads);
    return choice.choose(n_rows, n_useful);
  }

  // Lists the operators. Logits are written where the caller wants them: they may be many
  // megabytes, and a copy would be one thread's work.
  void build(const StepRows& rows, std::span<float> logits) {
    const auto n_rows = static_cast<int64_t>(rows.ids.size());
    const model::Weight& table = model.token_embedding();
    embed = {&table, tensor::row_size_bytes(table.type, table.n_in), rows.ids.data(),
             config.embedding_scale};
    graph = ggml_new_graph_custom(context.get(), max_nodes(), false);
    ggml_tensor* x = custom(GGML_TYPE_F32, config.n_embd, n_rows, {}, run_embed, &embed);
    for (int i = 0; i < config.n_layers; ++i) {
      x = attention_block(x, i, rows.blocks);
      x = feed_forward_block(x, i);
    }
    wanted = nullptr;
    if (!rows.logit_rows.empty()) {
      const auto n_wanted = static_cast<int64_t>(rows.logit_rows.size());
      wanted = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, n_wanted);
      ggml_set_input(wanted);
      x = head(x);
      EBB_CHECK(static_cast<size_t>(ggml_nelements(x)) == logits.size());
      x->data = logits.data();  // the allocator leaves alone what has memory
    }
    ggml_build_forward_expand(graph, x);
  }

  void allocate() {
    if (ggml_gallocr_alloc_graph(allocator.get(), graph)) return;
    // What is left of it takes the next graph of this shape for one that has its memory.
    allocator.reset(ggml_gallocr_new(ggml_backend_cpu_buffer_type()));
    throw Error(ErrorKind::kOutOfMemory, "no memory for the activations of a step");
  }
};

StepGraph::StepGraph(const model::Model& model, const EngineWeights& weights,
                     const EngineOptions& options, int n_threads)
    : impl_(std::make_unique<Impl>(model, weights, options, n_threads)) {}
StepGraph::~StepGraph() = default;

void StepGraph::prepare(const StepRows& rows, std::span<float> logits) {
  Impl& m = *impl_;
  m.start_step();
  m.step_threads = m.threads_for(rows.ids.size());
  const bool keeps_queries = std::any_of(
      rows.blocks.begin(), rows.blocks.end(),
      [](const RowBlock& b) { return b.signals != nullptr && b.signals->keeps_queries(); });
  const size_t width = static_cast<size_t>(m.config.n_q_heads * m.config.head_dim);
  m.raw_queries.resize(keeps_queries ? width * rows.ids.size() : 0);
  m.build(rows, logits);
  m.allocate();
  if (m.wanted != nullptr) {
    std::copy(rows.logit_rows.begin(), rows.logit_rows.end(),
              static_cast<int32_t*>(m.wanted->data));
  }
  m.plan = ggml_graph_plan(m.graph, m.step_threads, nullptr);
  m.work.resize(m.plan.work_size);
  m.plan.work_data = m.work.data();
}

void StepGraph::run() {
  Impl& m = *impl_;
  const auto begin = std::chrono::steady_clock::now();
  const ggml_status status = ggml_graph_compute(m.graph, &m.plan);
  if (status != GGML_STATUS_SUCCESS) {
    throw Error::make(ErrorKind::kBackend, "ggml: computing a step failed: {}",
                      ggml_status_to_string(status));
  }
  m.failure.rethrow();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (m.options.n_threads == 0) m.choice.note(took.count());
  m.compute_bytes =
      std::max(m.compute_bytes, ggml_gallocr_get_buffer_size(m.allocator.get(), 0) + m.work.size());
}

size_t StepGraph::compute_bytes() const { return impl_->compute_bytes; }

const kernels::RopeTable& StepGraph::rope(int layer) const { return impl_->rope(layer); }

void StepGraph::reserve_positions(RopePos last) {
  impl_->rope_global.reserve(last);
  if (impl_->config.window > 0) impl_->rope_sliding.reserve(last);
}

}  // namespace ebb::engine
