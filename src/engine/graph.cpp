#include "engine/graph.h"

#include <ggml-alloc.h>
#include <ggml-cpp.h>
#include <ggml-cpu.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include "base/error.h"
#include "engine/linear_ops.h"
#include "engine/model_rope.h"
#include "engine/ops.h"
#include "engine/thread_choice.h"
#include "engine/token_table.h"
#include "kernels/linear.h"

namespace ebb::engine {
namespace {

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
  TokenTable tokens;
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
  std::deque<PrepareOp> prepares;
  std::deque<MultiplyOp> multiplies;
  std::deque<LayerOp> layers;
  float softcap = 0.0F;

  Impl(const model::Model& m, const EngineWeights& w, const EngineOptions& o, int threads)
      : model(m),
        config(m.config()),
        weights(w),
        options(o),
        n_threads(threads),
        n_products_per_row(products_per_row(m)),
        choice(threads),
        tokens(m),
        rope_global(make_rope(config.rope_global, config)),
        rope_sliding(make_rope(config.rope_sliding, config)),
        scratch(static_cast<size_t>(threads)),
        allocator(ggml_gallocr_new(ggml_backend_cpu_buffer_type())),
        description(ggml_tensor_overhead() * max_nodes() +
                    ggml_graph_overhead_custom(max_nodes(), false)),
        head_memory(static_cast<size_t>(config.n_layers)) {}

  size_t max_nodes() const { return static_cast<size_t>(config.n_layers) * 40 + 40; }

  ggml_tensor* custom(ggml_type type, int64_t n, int64_t rows, std::vector<ggml_tensor*> args,
                      ggml_custom_op_t op, void* userdata) {
    guards.push_back({op, userdata, &failure});
    return ggml_custom_4d(context.get(), type, n, rows, 1, 1, args.data(),
                          static_cast<int>(args.size()), run_guarded, GGML_N_TASKS_MAX,
                          &guards.back());
  }

  // norm(x), or residual + norm(x).
  ggml_tensor* norm(ggml_tensor* x, const std::vector<float>& weight,
                    ggml_tensor* residual = nullptr) {
    norms.push_back({weight.data(), config.norm_eps});
    std::vector<ggml_tensor*> args = {x};
    if (residual != nullptr) args.push_back(residual);
    return custom(GGML_TYPE_F32, x->ne[0], x->ne[1], std::move(args), run_norm, &norms.back());
  }

  Activations normed(ggml_tensor* x, const std::vector<float>& weight) const {
    return {Activations::Kind::kNorm, x, weight.data(), config.norm_eps};
  }

  // Ours: y = W x of all the layers side by side, or residual + y.
  ggml_tensor* multiply(std::initializer_list<const Linear*> linears, const Activations& x,
                        ggml_tensor* residual = nullptr) {
    MultiplyOp& op = multiplies.emplace_back();
    const int64_t n_rows = x.rows->ne[1];
    std::vector<ggml_tensor*> args;
    std::vector<kernels::ActivationForm> forms;  // [args.size()]
    int64_t width = 0;
    for (const Linear* layer : linears) {
      const kernels::ActivationForm form = kernels::form_for(*layer->packed, n_rows);
      const auto at = std::find(forms.begin(), forms.end(), form);
      op.parts.push_back({layer, static_cast<int>(at - forms.begin()), width});
      width += layer->n_out;
      if (at != forms.end()) continue;
      forms.push_back(form);
      prepares.push_back({layer, x});
      const size_t bytes = kernels::prepared_row_bytes(form, layer->n_in);
      args.push_back(custom(GGML_TYPE_I8, static_cast<int64_t>(bytes),
                            kernels::prepared_row_count(form, n_rows), {x.rows}, run_prepare,
                            &prepares.back()));
    }
    if (residual != nullptr) {
      op.residual_src = static_cast<int>(args.size());
      args.push_back(residual);
    }
    return custom(GGML_TYPE_F32, width, n_rows, std::move(args), run_multiply, &op);
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
    op.attention = plan_attention(blocks, op.heads, config, step_threads, split_results);
    return op;
  }

  // Rotated queries; keys and values are stored on the way.
  ggml_tensor* rotated(ggml_tensor* x, const LayerLinears& layer, LayerOp& op) {
    const int64_t n_q = layer.q.n_out;
    if (layer.q.packed) {
      op.q = {0, 0};
      op.k = {0, n_q};
      op.v = {0, n_q + layer.k.n_out};
      ggml_tensor* qkv = multiply({&layer.q, &layer.k, &layer.v}, normed(x, layer.attn_norm));
      return custom(GGML_TYPE_F32, n_q, x->ne[1], {qkv}, run_rope_and_store, &op);
    }
    op.q = {0, 0};
    op.k = {1, 0};
    op.v = {2, 0};
    ggml_tensor* h = norm(x, layer.attn_norm);
    const auto of = [&](const Linear& l) { return ggml_mul_mat(context.get(), l.tensor, h); };
    return custom(GGML_TYPE_F32, n_q, x->ne[1], {of(layer.q), of(layer.k), of(layer.v)},
                  run_rope_and_store, &op);
  }

  // x + what the layer makes of the activations, which where there is a post-norm is normed first.
  ggml_tensor* add_output(ggml_tensor* x, const Linear& layer, const Activations& from,
                          const std::vector<float>& post_norm) {
    const bool has_post_norm = config.has_post_norms;
    if (layer.packed && !has_post_norm) return multiply({&layer}, from, x);
    ggml_tensor* out = layer.packed ? multiply({&layer}, from)
                                    : ggml_mul_mat(context.get(), layer.tensor, from.rows);
    return has_post_norm ? norm(out, post_norm, x) : ggml_add(context.get(), x, out);
  }

  // Null: nothing of the step's rows is wanted any more.
  ggml_tensor* attention_block(ggml_tensor* x, int index, const std::vector<RowBlock>& blocks) {
    const LayerLinears& layer = weights.layer(index);
    LayerOp& op = plan_layer(index, blocks);
    ggml_tensor* turned = rotated(x, layer, op);
    if (op.raw_queries != nullptr) {
      // Nothing reads its result, so it is put into the graph by hand, before the next layer's
      // queries.
      ggml_build_forward_expand(graph, custom(GGML_TYPE_I8, 1, 1, {turned}, run_observe, &op));
    }
    ggml_tensor* attended =
        custom(GGML_TYPE_F32, turned->ne[0], turned->ne[1], {turned}, run_attend, &op);
    // Behind the last layer's cells only rows with logits go on.
    const bool is_last = index + 1 == config.n_layers;
    if (is_last && wanted == nullptr) {
      const bool sums_weights =
          std::any_of(blocks.begin(), blocks.end(),
                      [](const RowBlock& block) { return block.gathers_weights(); });
      ggml_build_forward_expand(graph, sums_weights ? attended : turned);
      return nullptr;
    }
    if (is_last && wanted->ne[0] < x->ne[1]) {
      attended = ggml_get_rows(context.get(), attended, wanted);
      x = ggml_get_rows(context.get(), x, wanted);
    }
    return add_output(x, layer.attn_out, {Activations::Kind::kRows, attended},
                      layer.attn_post_norm);
  }

  ggml_tensor* feed_forward_block(ggml_tensor* x, int index) {
    const LayerLinears& layer = weights.layer(index);
    const bool is_silu = config.activation == model::Activation::kSilu;
    Activations active;
    if (layer.ffn_gate.packed) {
      active.kind = is_silu ? Activations::Kind::kSiluMul : Activations::Kind::kGeluMul;
      active.rows = multiply({&layer.ffn_gate, &layer.ffn_up}, normed(x, layer.ffn_norm));
    } else {
      ggml_tensor* h = norm(x, layer.ffn_norm);
      ggml_tensor* gate = ggml_mul_mat(context.get(), layer.ffn_gate.tensor, h);
      ggml_tensor* up = ggml_mul_mat(context.get(), layer.ffn_up.tensor, h);
      active.rows = custom(GGML_TYPE_F32, gate->ne[0], gate->ne[1], {gate, up},
                           is_silu ? run_silu_mul : run_gelu_mul, nullptr);
    }
    return add_output(x, layer.ffn_down, active, layer.ffn_post_norm);
  }

  ggml_tensor* head(ggml_tensor* x) {
    const Linear& output = weights.output();
    ggml_tensor* out =
        output.packed ? multiply({&output}, normed(x, weights.output_norm()))
                      : ggml_mul_mat(context.get(), output.tensor, norm(x, weights.output_norm()));
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
    prepares.clear();
    multiplies.clear();
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
    embed = {&tokens, rows.ids};
    graph = ggml_new_graph_custom(context.get(), max_nodes(), false);
    ggml_tensor* x = custom(GGML_TYPE_F32, config.n_embd, n_rows, {}, run_embed, &embed);
    wanted = nullptr;
    if (!rows.logit_rows.empty()) {
      const auto n_wanted = static_cast<int64_t>(rows.logit_rows.size());
      wanted = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, n_wanted);
      ggml_set_input(wanted);
    }
    for (int i = 0; i < config.n_layers; ++i) {
      x = attention_block(x, i, rows.blocks);
      if (x != nullptr) x = feed_forward_block(x, i);
    }
    if (x == nullptr) return;
    x = head(x);
    EBB_CHECK(static_cast<size_t>(ggml_nelements(x)) == logits.size());
    x->data = logits.data();  // the allocator leaves alone what has memory
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

void StepGraph::begin_step(size_t n_blocks) {
  Impl& m = *impl_;
  for (LayerOp& op : m.layers) op.heads.swap(m.head_memory[static_cast<size_t>(op.layer)]);
  m.layers.clear();
  const size_t n_heads = static_cast<size_t>(m.config.n_kv_heads);
  for (std::vector<HeadPlan>& heads : m.head_memory) heads.resize(n_blocks * n_heads);
}

void StepGraph::plan_block(const RowBlock& block, size_t index) {
  Impl& m = *impl_;
  const size_t n_heads = static_cast<size_t>(m.config.n_kv_heads);
  for (int layer = 0; layer < m.config.n_layers; ++layer) {
    std::vector<HeadPlan>& heads = m.head_memory[static_cast<size_t>(layer)];
    plan_heads(block, layer, std::span(heads).subspan(index * n_heads, n_heads));
  }
}

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
  if (m.wanted != nullptr && m.wanted->data != nullptr) {  // else nobody reads it: all rows
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
  // Else a tied output head is read from the mapped table as well.
  if (m.weights.output().packed) m.tokens.note_read(m.embed.ids.size());
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
