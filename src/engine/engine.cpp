#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <set>

#include "base/error.h"
#include "base/platform.h"
#include "engine/cell_reader.h"
#include "engine/graph.h"
#include "engine/head_plan.h"
#include "engine/memory_plan.h"
#include "kernels/linear_isa.h"
#include "kernels/numbers.h"

namespace ebb::engine {
namespace {

CellType default_cell_type(Numerics numerics) {
  return numerics == Numerics::kReference ? CellType::kF32 : CellType::kF16;
}

// Reads one cell's key, in the file's channel order.
void load_key(const kv::CellFormat& format, const std::byte* keys, uint32_t cell,
              std::vector<std::byte>& numbers, float* out) {
  const size_t width = format.number_bytes();
  const auto n = static_cast<size_t>(format.head_dim);
  numbers.resize(n * width);
  for (size_t c = 0; c < n; ++c) {
    std::copy_n(keys + format.key_at(cell, static_cast<int>(c)) * width, width,
                numbers.data() + c * width);
  }
  kernels::to_floats(format.type, numbers.data(), n, out);
}

}  // namespace

struct Engine::Impl {
  std::shared_ptr<const model::Model> model;
  EngineOptions options;
  int n_threads;
  EngineWeights weights;
  StepGraph graph;
  mutable kv::PagePool pool;
  const std::shared_ptr<LogitPool> logit_pool = std::make_shared<LogitPool>();

  Impl(std::shared_ptr<const model::Model> m, const EngineOptions& o)
      : model(std::move(m)),
        options(o),
        n_threads(o.n_threads > 0 ? o.n_threads : platform::cpu_info().n_usable_cores),
        weights(*model, options, n_threads),
        graph(*model, weights, options, n_threads),
        pool({o.cell_type.value_or(default_cell_type(o.numerics)), model->config().head_dim}) {}

  void check_items(std::span<const StepItem> items) const;
  StepLogits step(std::span<const StepItem> items);
  // Computes all items, chunk by chunk.
  void run_items(std::span<const StepItem> items, std::span<float> out);
  // Computes one chunk; logits of its wanted rows fill `out`.
  void run_chunk(StepRows& rows, std::span<float> out);
  // All that may fail before anything is computed.
  void prepare_chunk(StepRows& rows, std::span<float> out, size_t& n_done);
  static void end_block(RowBlock& block, const StepRows& rows);
  void turn_keys(int layer, const kv::Page& page, std::span<const int32_t> deltas,
                 std::byte* dst) const;
};

std::vector<float> LogitPool::take(size_t n) {
  std::vector<float> values;
  {
    const std::lock_guard lock(mutex_);
    values = std::move(spare_);
    spare_.clear();
  }
  values.resize(n);
  return values;
}

void LogitPool::give(std::vector<float> values) noexcept {
  const std::lock_guard lock(mutex_);
  if (values.capacity() > spare_.capacity()) spare_ = std::move(values);
}

Engine::Engine(std::shared_ptr<const model::Model> model, const EngineOptions& options) {
  if (options.kernels == LinearKernels::kGgml && options.numerics != Numerics::kFast) {
    throw Error::make(ErrorKind::kUsage, "--kernels ggml goes with --numerics fast only, found {}",
                      numerics_name(options.numerics));
  }
  if (options.n_rows_max < 1 || options.n_threads < 0) {
    throw Error::make(ErrorKind::kUsage,
                      "rows per step and threads must be positive, found {} and {}",
                      options.n_rows_max, options.n_threads);
  }
  const int n_threads_max = 8 * platform::cpu_info().n_usable_cores + 64;
  if (options.n_threads > n_threads_max) {
    throw Error::make(ErrorKind::kUsage, "threads: found {}, expected 0 (all usable cores) to {}",
                      options.n_threads, n_threads_max);
  }
  impl_ = std::make_unique<Impl>(std::move(model), options);
}
Engine::~Engine() = default;

size_t Engine::predict_weights_bytes(const model::Model& model, const EngineOptions& options) {
  return predict_packed_bytes(model, options);
}

const model::ModelConfig& Engine::config() const { return impl_->model->config(); }
const model::Model& Engine::model() const { return *impl_->model; }
const EngineOptions& Engine::options() const { return impl_->options; }
int Engine::n_threads() const { return impl_->n_threads; }
std::string_view Engine::kernels_name() const {
  if (impl_->options.kernels == LinearKernels::kGgml) return "ggml";
  const kernels::Isa best = kernels::resolve(kernels::Isa::kBest);
  // Only fast uses the matrix unit: the others' bits are those of the vectors.
  const bool uses_vectors =
      best == kernels::Isa::kAmx && impl_->options.numerics != Numerics::kFast;
  return kernels::name_of(uses_vectors ? kernels::Isa::kAvx512Vnni : best);
}

Sequence Engine::make_sequence(PositionMode mode, const policy::Needs& needs) const {
  kv::StoreShape shape;
  shape.n_kv_heads = config().n_kv_heads;
  for (int i = 0; i < config().n_layers; ++i) {
    shape.windows.push_back(config().is_sliding(i) ? static_cast<uint32_t>(config().window) : 0);
  }
  return Sequence(kv::SequenceCells(impl_->pool, std::move(shape), mode),
                  any_signal(needs) ? std::make_unique<SequenceSignals>(needs, config()) : nullptr);
}

void Engine::Impl::check_items(std::span<const StepItem> items) const {
  std::set<const Sequence*> seen;
  for (const StepItem& item : items) {
    EBB_CHECK(item.sequence != nullptr && seen.insert(item.sequence).second);
    EBB_CHECK(item.sequence->signals_ == nullptr || !item.sequence->signals_->is_torn());
    EBB_CHECK(item.spans.empty() || item.spans.size() == item.ids.size());
    EBB_CHECK(item.observed.empty() || item.observed.size() == item.ids.size());
    for (const int32_t id : item.ids) {
      if (id < 0 || id >= model->config().n_vocab) {
        throw Error::make(ErrorKind::kUsage, "token id {} is outside the vocabulary of {}", id,
                          model->config().n_vocab);
      }
    }
  }
}

void Engine::Impl::prepare_chunk(StepRows& rows, std::span<float> out, size_t& n_done) {
  uint32_t last = 0;
  graph.begin_step(rows.blocks.size());
  for (RowBlock& block : rows.blocks) {
    Sequence& sequence = *block.sequence;
    const std::span spans(sequence.span_of_token_);
    sequence.ids_.reserve(sequence.span_of_token_.capacity());
    block.first_ordinal = sequence.next_ordinal();
    block.signals = sequence.signals_.get();
    sequence.cells_.append(spans.subspan(sequence.ids_.size(), static_cast<size_t>(block.n_rows)));
    graph.plan_block(block, n_done++);
    last = std::max(last, sequence.next_ordinal().value);
  }
  graph.reserve_positions(RopePos{static_cast<int32_t>(last)});
  graph.prepare(rows, out);
  for (const RowBlock& block : rows.blocks) {
    if (block.signals == nullptr) continue;
    block.signals->reserve_step(block.sequence->cells_, static_cast<size_t>(block.n_rows));
  }
}

void Engine::Impl::end_block(RowBlock& block, const StepRows& rows) {
  Sequence& sequence = *block.sequence;
  const auto begin = rows.ids.begin() + block.first_row;
  sequence.ids_.insert(sequence.ids_.end(), begin, begin + block.n_rows);
  const uint64_t n_dropped = sequence.cells_.drop_invisible();
  sequence.n_left_window_ += n_dropped;
  if (n_dropped > 0 && block.signals != nullptr) block.signals->follow_drop(sequence.cells_);
}

void Engine::Impl::run_chunk(StepRows& rows, std::span<float> out) {
  size_t n_done = 0;  // blocks whose cells exist
  bool is_computing = false;
  try {
    prepare_chunk(rows, out, n_done);
    is_computing = true;
    for (const RowBlock& block : rows.blocks) {
      if (block.signals == nullptr) continue;
      block.signals->begin_step(
          block.sequence->cells_, block.first_ordinal,
          std::span(rows.observed)
              .subspan(static_cast<size_t>(block.first_row), static_cast<size_t>(block.n_rows)));
    }
    graph.run();
  } catch (...) {
    for (size_t i = 0; i < n_done; ++i) {
      const RowBlock& block = rows.blocks[i];
      block.sequence->cells_.truncate(static_cast<uint32_t>(block.n_rows));
      if (is_computing && block.signals != nullptr) block.signals->mark_torn();
    }
    throw;
  }
  for (RowBlock& block : rows.blocks) end_block(block, rows);
}

void Engine::Impl::run_items(std::span<const StepItem> items, std::span<float> out) {
  StepRows rows;
  size_t n_written = 0;
  const auto run = [&] {
    const size_t n = rows.logit_rows.size() * static_cast<size_t>(model->config().n_vocab);
    run_chunk(rows, out.subspan(n_written, n));
    n_written += n;
  };
  const auto n_max = static_cast<size_t>(options.n_rows_max);
  for (const StepItem& item : items) {
    for (size_t at = 0; at < item.ids.size();) {
      const size_t n = std::min(item.ids.size() - at, n_max - rows.ids.size());
      const size_t first_row = rows.ids.size();
      rows.blocks.push_back({item.sequence, static_cast<int>(first_row), static_cast<int>(n), {}});
      rows.ids.insert(rows.ids.end(), item.ids.begin() + static_cast<ptrdiff_t>(at),
                      item.ids.begin() + static_cast<ptrdiff_t>(at + n));
      for (size_t i = 0; i < n; ++i) {
        rows.observed.push_back(item.observed.empty() ? uint8_t{1} : item.observed[at + i]);
      }
      at += n;
      for (size_t i = 0; i < n && item.logits != LogitRows::kNone; ++i) {
        const bool is_last = at == item.ids.size() && i + 1 == n;
        if (item.logits == LogitRows::kAll || is_last) {
          rows.logit_rows.push_back(static_cast<int32_t>(first_row + i));
        }
      }
      if (rows.ids.size() == n_max) {
        run();
        rows = StepRows{};
      }
    }
  }
  if (!rows.ids.empty()) run();
  EBB_CHECK(n_written == out.size());
}

StepLogits Engine::Impl::step(std::span<const StepItem> items) {
  StepLogits out;
  out.n_vocab = static_cast<size_t>(model->config().n_vocab);
  out.first_row.push_back(0);
  // Spans are noted first; ids follow as they are computed, so after a failure both are cut to the
  // cells.
  try {
    for (const StepItem& item : items) {
      auto& spans = item.sequence->span_of_token_;
      for (size_t i = 0; i < item.ids.size(); ++i)
        spans.push_back(item.spans.empty() ? SpanId{} : item.spans[i]);
      const bool any = item.logits != LogitRows::kNone && !item.ids.empty();
      const size_t n = !any ? 0 : item.logits == LogitRows::kAll ? item.ids.size() : 1;
      out.first_row.push_back(out.first_row.back() + n);
    }
    out.values = logit_pool->take(out.first_row.back() * out.n_vocab);
    out.pool = logit_pool;
    run_items(items, out.values);
  } catch (...) {
    for (const StepItem& item : items)
      item.sequence->span_of_token_.resize(item.sequence->ids_.size());
    throw;
  }
  return out;
}

StepLogits Engine::step(std::span<const StepItem> items) {
  try {
    impl_->check_items(items);
    return impl_->step(items);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::kOutOfMemory, "no memory for the next step");
  }
}

void Engine::Impl::turn_keys(int layer, const kv::Page& page, std::span<const int32_t> deltas,
                             std::byte* dst) const {
  const kv::CellFormat& format = pool.format();
  const size_t width = format.number_bytes();
  const auto n = static_cast<size_t>(format.head_dim);
  std::vector<std::byte> numbers;
  std::vector<float> key(n);
  for (uint32_t cell = 0; cell < page.n_cells; ++cell) {
    load_key(format, page.data, cell, numbers, key.data());
    if (deltas[cell] != 0) {
      graph.rope(layer).rotate(key.data(), key.data(), RopePos{deltas[cell]});
      kernels::from_floats(format.type, key.data(), n, numbers.data());
    }
    for (size_t c = 0; c < n; ++c) {
      std::copy_n(numbers.data() + c * width, width,
                  dst + format.key_at(cell, static_cast<int>(c)) * width);
    }
  }
}

kv::CellLoss Engine::evict(Sequence& sequence, const policy::EvictionPlan& plan) const {
  const kv::CellLoss loss = sequence.cells_.evict(
      plan.kept, [this](int layer, const kv::Page& page, std::span<const int32_t> deltas,
                        std::byte* dst) { impl_->turn_keys(layer, page, deltas, dst); });
  if (sequence.signals_) sequence.signals_->follow_evict(plan.kept);
  return loss;
}

void Engine::hide_all_but(Sequence& sequence, const policy::EvictionPlan& plan) const {
  sequence.cells_.hide_all_but(plan.kept);
}

void Engine::read_head(const Sequence& sequence, int layer, int kv_head, HeadContent& out) const {
  const kv::HeadCells& cells = sequence.cells().head(layer, kv_head);
  const kv::CellFormat& format = sequence.cells().format();
  const auto d = static_cast<size_t>(format.head_dim);
  cells.collect_ordinals(out.ordinals);
  cells.collect_spans(out.spans);
  out.keys.resize(d * cells.n_cells());
  out.values.resize(d * cells.n_cells());
  std::vector<kernels::CellRun> runs;
  collect_runs(cells, format, runs);
  read_keys(runs, format, config().rope_layout, out.keys);
  read_values(runs, format, out.values);
}

std::vector<Ordinal> Engine::window_weights(const Sequence& sequence, int layer, int kv_head,
                                            int n_queries, std::vector<float>& out) const {
  const SequenceSignals* signals = sequence.signals();
  EBB_CHECK(signals != nullptr && n_queries > 0 && signals->needs().attention_window >= n_queries);
  const bool has_observed = !signals->observed().places().empty();
  const QueryRing& ring = has_observed ? signals->observed() : signals->tail();
  const kv::HeadCells& cells = sequence.cells().head(layer, kv_head);
  const auto d = static_cast<size_t>(config().head_dim);
  const auto group = static_cast<size_t>(config().group_size());
  std::vector<kernels::CellRun> runs;
  collect_runs(cells, sequence.cells().format(), runs);
  const std::vector<int> all = ring.places();
  const auto places = std::span(all).last(std::min(all.size(), static_cast<size_t>(n_queries)));
  const size_t n_rows = places.size() * group;
  std::vector<float> turned(n_rows * d);
  std::vector<kernels::QueryRow> rows;
  std::vector<uint32_t> targets;
  std::vector<Ordinal> ordinals;
  for (const int place : places) {
    const Ordinal ordinal = ring.ordinal(place);
    ordinals.push_back(ordinal);
    const float* raw = ring.row(layer, place) + static_cast<size_t>(kv_head) * group * d;
    for (size_t g = 0; g < group; ++g) {
      const size_t at = rows.size() * d;
      const RopePos pos{static_cast<int32_t>(ordinal.value) + cells.pos_shift()};
      impl_->graph.rope(layer).rotate(raw + g * d, turned.data() + at, pos);
      rows.push_back({turned.data() + at, ordinal, nullptr});
      targets.push_back(static_cast<uint32_t>(g));
    }
  }
  const size_t n_cells = cells.n_cells();
  std::vector<int64_t> sums(n_cells * group);
  kernels::AttentionScratch scratch;
  kernels::attend(
      {.head_dim = config().head_dim,
       .type = sequence.cells().format().type,
       .scale = config().attention_scale,
       .softcap = config().attention_softcap,
       .window = config().is_sliding(layer) ? static_cast<uint32_t>(config().window) : 0},
      runs, rows, scratch, {.sums = sums.data(), .stride = n_cells, .row_target = targets});
  out.resize(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    out[i] = kernels::weight_of(sums[i]);
  }
  return ordinals;
}

std::span<const float> Engine::rope_frequencies(int layer) const {
  return impl_->graph.rope(layer).frequencies();
}

policy::CacheShape Engine::cache_shape() const {
  return cache_shape_of(config(), impl_->pool.format().cell_bytes());
}

EngineMemory Engine::memory() const {
  return {.weights_mapped = impl_->model->weights_bytes(),
          .weights_packed = impl_->weights.packed_bytes(),
          .compute = impl_->graph.compute_bytes(),
          .cells_live = impl_->pool.bytes_live()};
}

size_t Engine::predict_compute_bytes(int n_rows, int n_logit_rows) const {
  return predict_step_bytes(config(), n_rows, n_logit_rows);
}

}  // namespace ebb::engine
