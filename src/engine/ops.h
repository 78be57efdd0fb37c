// The operators of the decoder graph that ggml has no fitting one for: they run inside
// ggml_graph_compute as custom operators, on several threads that meet at a barrier after each of
// them. No exception may leave one, so all of them run as run_guarded. Internal to engine/.
#pragma once

#include <ggml.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <vector>

#include "engine/attend_plan.h"
#include "engine/token_table.h"
#include "kernels/rope.h"
#include "model/config.h"
#include "model/model.h"

namespace ebb::engine {

struct EmbedOp {
  const TokenTable* tokens = nullptr;
  std::span<const int32_t> ids;  // [n_rows]
};

struct NormOp {
  const float* weight = nullptr;
  float eps = 0.0F;
};

// Where an operator finds the rows of one of its inputs.
struct RowsOf {
  int src = 0;
  int64_t column = 0;
};

struct LayerOp {
  const model::ModelConfig* config = nullptr;
  const kernels::RopeTable* rope = nullptr;
  const float* q_norm = nullptr;  // [head_dim] or null
  const float* k_norm = nullptr;
  const float* q_bias = nullptr;  // ggml kernels only: ours add the bias themselves
  const float* k_bias = nullptr;
  const float* v_bias = nullptr;
  RowsOf q, k, v;  // of run_rope_and_store
  const std::vector<RowBlock>* blocks = nullptr;
  std::vector<HeadPlan> heads;  // [n_kv_heads, n_blocks]
  AttendPlan attention;
  kernels::AttentionShape shape;
  kv::CellFormat format;
  PositionMode mode = PositionMode::kOriginal;
  std::vector<kernels::AttentionScratch>* scratch = nullptr;  // one a thread
  int layer = 0;
  float* raw_queries =
      nullptr;  // [n_q_heads * head_dim, n_rows] before RoPE, where some block keeps them
  std::atomic<int> next_task{0};

  const HeadPlan& head(size_t block, int kv_head) const {
    return heads[block * static_cast<size_t>(config->n_kv_heads) + static_cast<size_t>(kv_head)];
  }
};

// The first exception of a step's operators.  Threads: any.
class StepFailure {
 public:
  bool is_set() const { return is_set_.load(std::memory_order_acquire); }
  void note(std::exception_ptr error) noexcept;
  // Forgets what the step before left.
  void clear() noexcept;
  // Throws what was noted, if anything was.
  void rethrow() const;

 private:
  std::atomic<bool> is_set_{false};
  std::mutex mutex_;
  std::exception_ptr first_;
};

// An operator with its userdata. Once one has failed, the rest of the step's do nothing.
struct GuardedOp {
  ggml_custom_op_t run = nullptr;
  void* userdata = nullptr;
  StepFailure* failure = nullptr;
};
void run_guarded(ggml_tensor* dst, int ith, int nth, void* guarded_op);

// Each of these has ggml's signature of a custom operator; userdata is the struct named beside it.
void run_embed(ggml_tensor* dst, int ith, int nth, void* embed_op);
// src: x, and a residual that is added to the norm, if there is a second one
void run_norm(ggml_tensor* dst, int ith, int nth, void* norm_op);
void run_rope_and_store(ggml_tensor* dst, int ith, int nth,
                        void* layer_op);                               // src: q, k, v, see RowsOf
void run_observe(ggml_tensor* dst, int ith, int nth, void* layer_op);  // src: rotated q
void run_attend(ggml_tensor* dst, int ith, int nth, void* layer_op);   // src: rotated q
void run_silu_mul(ggml_tensor* dst, int ith, int nth, void* unused);   // src: gate, up
void run_gelu_mul(ggml_tensor* dst, int ith, int nth, void* unused);
void run_softcap(ggml_tensor* dst, int ith, int nth, void* cap);  // src: logits

}  // namespace ebb::engine
