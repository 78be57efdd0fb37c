#include "engine/ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/activation.h"
#include "kernels/norm.h"
#include "kernels/numbers.h"

namespace ebb::engine {
namespace {

// This thread's share of n items: contiguous, so that neighbouring rows stay in one cache.
struct Share {
  int64_t begin;
  int64_t end;
};
Share share_of(int64_t n, int ith, int nth) { return {n * ith / nth, n * (ith + 1) / nth}; }

float* row_of(ggml_tensor* t, int64_t row) {
  return reinterpret_cast<float*>(static_cast<char*>(t->data) +
                                  static_cast<size_t>(row) * t->nb[1]);
}

void store_key(const kv::CellFormat& format, const float* key, std::byte* keys, uint32_t cell,
               std::vector<std::byte>& buffer) {
  const size_t width = format.number_bytes();
  const auto n = static_cast<size_t>(format.head_dim);
  buffer.resize(n * width);
  kernels::from_floats(format.type, key, n, buffer.data());
  std::byte* first = keys + format.key_at(cell, 0) * width;
  constexpr size_t kStride = kv::CellFormat::kGroup;
  if (width == 2) {
    const auto* from = reinterpret_cast<const uint16_t*>(buffer.data());
    auto* to = reinterpret_cast<uint16_t*>(first);
    for (size_t c = 0; c < n; ++c) to[c * kStride] = from[c];
  } else {
    auto* to = reinterpret_cast<float*>(first);
    for (size_t c = 0; c < n; ++c) to[c * kStride] = key[c];
  }
}

struct RowScratch {
  std::vector<float> head;
  std::vector<float> turned;
  std::vector<std::byte> numbers;
};

// q/k norm and bias before the rotation, as the architecture has them.
const float* prepare_head(const float* in, const float* bias, const float* norm, float eps,
                          int head_dim, std::vector<float>& buffer) {
  if (bias == nullptr && norm == nullptr) return in;
  buffer.resize(static_cast<size_t>(head_dim));
  for (int c = 0; c < head_dim; ++c) {
    buffer[static_cast<size_t>(c)] = in[c] + (bias == nullptr ? 0.0F : bias[c]);
  }
  if (norm != nullptr) {
    kernels::rms_norm(buffer.data(), norm, eps, static_cast<size_t>(head_dim), buffer.data());
  }
  return buffer.data();
}

void store_row(LayerOp& op, size_t block, int row_in_block, const float* k, const float* v,
               RowScratch& scratch) {
  const model::ModelConfig& config = *op.config;
  const int d = config.head_dim;
  const RowBlock& rows = (*op.blocks)[block];
  const auto ordinal = static_cast<int32_t>(rows.first_ordinal.value) + row_in_block;
  const PositionMode mode = rows.sequence->cells().mode();
  for (int h = 0; h < config.n_kv_heads; ++h) {
    const HeadPlan& head = op.head(block, h);
    const kv::NewCell& cell = head.new_cells[static_cast<size_t>(row_in_block)];
    const float* bias = op.k_bias == nullptr ? nullptr : op.k_bias + static_cast<ptrdiff_t>(h) * d;
    const float* key = prepare_head(k + static_cast<ptrdiff_t>(h) * d, bias, op.k_norm,
                                    config.norm_eps, d, scratch.head);
    scratch.turned.resize(static_cast<size_t>(d));
    // Compact mode keeps the key at its birth ordinal too: later events derive positions from that
    // one.
    const int32_t stored = mode == PositionMode::kColliding ? ordinal + head.pos_shift : ordinal;
    op.rope->rotate(key, scratch.turned.data(), RopePos{stored});
    store_key(op.format, scratch.turned.data(), cell.page->data, cell.cell, scratch.numbers);
    if (cell.keys != nullptr) {
      op.rope->rotate(key, scratch.turned.data(), RopePos{ordinal + head.pos_shift});
      store_key(op.format, scratch.turned.data(), cell.keys->data, cell.cell, scratch.numbers);
    }
    const float* v_bias =
        op.v_bias == nullptr ? nullptr : op.v_bias + static_cast<ptrdiff_t>(h) * d;
    const float* value =
        prepare_head(v + static_cast<ptrdiff_t>(h) * d, v_bias, nullptr, 0.0F, d, scratch.head);
    std::byte* values = cell.page->data + op.format.key_page_bytes();
    kernels::from_floats(op.format.type, value, static_cast<size_t>(d),
                         values + op.format.value_at(cell.cell, 0) * op.format.number_bytes());
  }
}

// The query heads of one KV head for some rows of a block.
void add_queries(const LayerOp& op, ggml_tensor* dst, size_t block, int kv_head, int first_row,
                 int n_rows, std::vector<kernels::QueryRow>& out) {
  const int group = op.config->group_size();
  const RowBlock& rows = (*op.blocks)[block];
  for (int i = first_row; i < first_row + n_rows; ++i) {
    const int64_t row = rows.first_row + i;
    for (int g = 0; g < group; ++g) {
      const ptrdiff_t at = static_cast<ptrdiff_t>(kv_head * group + g) * op.config->head_dim;
      out.push_back({row_of(dst->src[0], row) + at,
                     Ordinal{rows.first_ordinal.value + static_cast<uint32_t>(i)},
                     row_of(dst, row) + at});
    }
  }
}

// Where the sequence gathers weights, adds them to its sums.
void attend_alone(LayerOp& op, const AttendTask& task, std::span<const kernels::QueryRow> queries,
                  kernels::AttentionScratch& scratch) {
  const auto block = static_cast<size_t>(task.first_block);
  const std::vector<kernels::CellRun>& runs = op.head(block, task.kv_head).runs;
  if (!(*op.blocks)[block].gathers_weights()) {
    kernels::attend(op.shape, runs, queries, scratch);
    return;
  }
  thread_local std::vector<int64_t> sums;
  thread_local std::vector<uint32_t> targets;
  const size_t n_cells = kernels::n_cells_of(runs);
  sums.assign(n_cells, 0);
  targets.assign(queries.size(), 0);
  kernels::attend(op.shape, runs, queries, scratch,
                  {.sums = sums.data(), .stride = n_cells, .row_target = targets});
  (*op.blocks)[block].signals->add_weights(op.layer, task.kv_head, sums);
}

void attend_part(LayerOp& op, const AttendTask& task, std::span<const kernels::QueryRow> queries,
                 kernels::AttentionScratch& scratch) {
  AttendSplit& split = op.attention.splits[static_cast<size_t>(task.split)];
  const auto& runs = op.head(static_cast<size_t>(task.first_block), task.kv_head).runs;
  kernels::attend_part(op.shape, runs, queries, static_cast<size_t>(task.part),
                       static_cast<size_t>(task.n_parts), *split.results, scratch);
  // Releases this part and, in the last thread, acquires the others'.
  if (split.n_left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  kernels::merge_parts(op.shape, queries, *split.results);
}

// Sequences that hold the same first cells.
void attend_company(LayerOp& op, const AttendTask& task, std::span<const kernels::QueryRow> queries,
                    kernels::AttentionScratch& scratch) {
  thread_local std::vector<kernels::AttentionMember> members;
  members.clear();
  size_t at = 0;
  for (int i = 0; i < task.n_blocks; ++i) {
    const auto block = static_cast<size_t>(task.first_block + i);
    const auto n = static_cast<size_t>((*op.blocks)[block].n_rows * op.config->group_size());
    members.push_back({op.head(block, task.kv_head).runs, queries.subspan(at, n)});
    at += n;
  }
  kernels::attend_shared(op.shape, members, task.n_shared, scratch);
}

}  // namespace

void StepFailure::note(std::exception_ptr error) noexcept {
  const std::lock_guard lock(mutex_);
  if (!first_) first_ = std::move(error);
  is_set_.store(true, std::memory_order_release);
}

void StepFailure::clear() noexcept {
  first_ = nullptr;
  is_set_.store(false, std::memory_order_relaxed);
}

void StepFailure::rethrow() const {
  if (first_) std::rethrow_exception(first_);
}

void run_guarded(ggml_tensor* dst, int ith, int nth, void* guarded_op) {
  const auto& op = *static_cast<const GuardedOp*>(guarded_op);
  if (op.failure->is_set()) return;
  try {
    op.run(dst, ith, nth, op.userdata);
  } catch (...) {
    op.failure->note(std::current_exception());
  }
}

void run_observe(ggml_tensor* dst, int ith, int nth, void* layer_op) {
  (void)dst;
  auto& op = *static_cast<LayerOp*>(layer_op);
  const auto width =
      static_cast<size_t>(op.config->n_q_heads) * static_cast<size_t>(op.config->head_dim);
  const Share heads = share_of(op.config->n_q_heads, ith, nth);
  for (const RowBlock& block : *op.blocks) {
    if (block.signals == nullptr || !block.signals->keeps_queries()) continue;
    const float* rows = op.raw_queries + static_cast<size_t>(block.first_row) * width;
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      const int q_head = static_cast<int>(h);
      block.signals->take_queries(op.layer, q_head, rows + h * op.config->head_dim, width);
    }
  }
}

void run_embed(ggml_tensor* dst, int ith, int nth, void* embed_op) {
  const auto& op = *static_cast<const EmbedOp*>(embed_op);
  const Share rows = share_of(dst->ne[1], ith, nth);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    op.tokens->read(op.ids[static_cast<size_t>(row)],
                    {row_of(dst, row), static_cast<size_t>(dst->ne[0])});
  }
}

void run_norm(ggml_tensor* dst, int ith, int nth, void* norm_op) {
  const auto& op = *static_cast<const NormOp*>(norm_op);
  const Share rows = share_of(dst->ne[1], ith, nth);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* out = row_of(dst, row);
    kernels::rms_norm(row_of(dst->src[0], row), op.weight, op.eps, static_cast<size_t>(dst->ne[0]),
                      out);
    if (dst->src[1] == nullptr) continue;
    const float* onto = row_of(dst->src[1], row);
    for (int64_t i = 0; i < dst->ne[0]; ++i) out[i] = onto[i] + out[i];
  }
}

void run_rope_and_store(ggml_tensor* dst, int ith, int nth, void* layer_op) {
  auto& op = *static_cast<LayerOp*>(layer_op);
  const model::ModelConfig& config = *op.config;
  const int d = config.head_dim;
  const Share rows = share_of(dst->ne[1], ith, nth);
  thread_local RowScratch scratch;
  for (size_t block = 0; block < op.blocks->size(); ++block) {
    const RowBlock& mine = (*op.blocks)[block];
    const int64_t begin = std::max<int64_t>(rows.begin, mine.first_row);
    const int64_t end = std::min<int64_t>(rows.end, mine.first_row + mine.n_rows);
    for (int64_t row = begin; row < end; ++row) {
      const int i = static_cast<int>(row - mine.first_row);
      const auto of = [&](const RowsOf& at) { return row_of(dst->src[at.src], row) + at.column; };
      const float* q = of(op.q);
      float* out = row_of(dst, row);
      for (int h = 0; h < config.n_q_heads; ++h) {
        const int32_t shift = op.head(block, h / config.group_size()).pos_shift;
        const float* bias =
            op.q_bias == nullptr ? nullptr : op.q_bias + static_cast<ptrdiff_t>(h) * d;
        const float* head = prepare_head(q + static_cast<ptrdiff_t>(h) * d, bias, op.q_norm,
                                         config.norm_eps, d, scratch.head);
        if (op.raw_queries != nullptr) {
          const auto width = static_cast<ptrdiff_t>(config.n_q_heads) * d;
          std::copy_n(head, d, op.raw_queries + row * width + static_cast<ptrdiff_t>(h) * d);
        }
        op.rope->rotate(head, out + static_cast<ptrdiff_t>(h) * d,
                        RopePos{static_cast<int32_t>(mine.first_ordinal.value) + i + shift});
      }
      store_row(op, block, i, of(op.k), of(op.v), scratch);
    }
  }
}

// Tasks for one thread. It takes the next before it has done the last, so as to ask for its cells
// in time; not at the end, where that would keep work from a thread that has none.
class TaskTaker {
 public:
  TaskTaker(LayerOp& op, int n_threads)
      : op_(op), n_early_(static_cast<int>(op.attention.tasks.size()) - 2 * n_threads) {}

  // Null: all are taken.
  const AttendTask* take() {
    const int task = std::exchange(early_, kNone);
    return at(task == kNone ? next() : task);
  }
  // The one that take() will give, if that is known.
  const AttendTask* peek() {
    if (early_ == kNone && op_.next_task.load(std::memory_order_relaxed) < n_early_) {
      early_ = next();
    }
    return at(early_);
  }

 private:
  static constexpr int kNone = -1;
  int next() { return op_.next_task.fetch_add(1, std::memory_order_relaxed); }
  const AttendTask* at(int task) const {
    const std::vector<AttendTask>& tasks = op_.attention.tasks;
    const bool is_one = task != kNone && task < static_cast<int>(tasks.size());
    return is_one ? &tasks[static_cast<size_t>(task)] : nullptr;
  }

  LayerOp& op_;
  int n_early_;
  int early_ = kNone;
};

void run_attend(ggml_tensor* dst, int ith, int nth, void* layer_op) {
  auto& op = *static_cast<LayerOp*>(layer_op);
  kernels::AttentionScratch& scratch = (*op.scratch)[static_cast<size_t>(ith)];
  thread_local std::vector<kernels::QueryRow> queries;
  TaskTaker taker(op, nth);
  while (const AttendTask* taken = taker.take()) {
    const AttendTask& task = *taken;
    const AttendTask* next = taker.peek();
    std::span<const kernels::CellRun> coming;
    if (next != nullptr && next->n_parts == 1) {
      coming = op.head(static_cast<size_t>(next->first_block), next->kv_head).runs;
    }
    // Said every time: what a task that failed was told would name runs that are no more.
    scratch.expect(coming);
    queries.clear();
    for (int i = 0; i < task.n_blocks; ++i) {
      const auto block = static_cast<size_t>(task.first_block + i);
      const int n_rows = task.n_blocks == 1 ? task.n_rows : (*op.blocks)[block].n_rows;
      add_queries(op, dst, block, task.kv_head, task.first_row, n_rows, queries);
    }
    if (task.n_blocks > 1) {
      attend_company(op, task, queries, scratch);
    } else if (task.n_parts > 1) {
      attend_part(op, task, queries, scratch);
    } else {
      attend_alone(op, task, queries, scratch);
    }
  }
}

void run_silu_mul(ggml_tensor* dst, int ith, int nth, void*) {
  const Share rows = share_of(dst->ne[1], ith, nth);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    kernels::silu_mul(row_of(dst->src[0], row), row_of(dst->src[1], row),
                      static_cast<size_t>(dst->ne[0]), row_of(dst, row));
  }
}

void run_gelu_mul(ggml_tensor* dst, int ith, int nth, void*) {
  const Share rows = share_of(dst->ne[1], ith, nth);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    kernels::gelu_mul(row_of(dst->src[0], row), row_of(dst->src[1], row),
                      static_cast<size_t>(dst->ne[0]), row_of(dst, row));
  }
}

void run_softcap(ggml_tensor* dst, int ith, int nth, void* cap) {
  const float c = *static_cast<const float*>(cap);
  const Share rows = share_of(dst->ne[1], ith, nth);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* in = row_of(dst->src[0], row);
    float* out = row_of(dst, row);
    for (int64_t i = 0; i < dst->ne[0]; ++i) out[i] = c * std::tanh(in[i] / c);
  }
}

}  // namespace ebb::engine
