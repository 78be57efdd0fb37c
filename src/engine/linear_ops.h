// Linear layers as operators of the decoder graph, with the small operators before and behind them
// folded in: a norm or a gate is computed row by row while its row is made ready for the layer, a
// residual is added where the layer's sums are written, and layers that read the same rows share
// one operator. Each operator ends at a barrier, so fewer of them is also less waiting. Not a bit
// differs from the operators one by one. Internal to engine/.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <vector>

#include "engine/weights.h"

namespace ebb::engine {

// What layers read: rows of a tensor, or what is made of them.
struct Activations {
  enum class Kind { kRows, kNorm, kSiluMul, kGeluMul };
  Kind kind = Kind::kRows;
  ggml_tensor* rows = nullptr;    // gated: gate and up side by side in each row
  const float* weight = nullptr;  // kNorm only
  float eps = 0.0F;

  bool is_gated() const { return kind == Kind::kSiluMul || kind == Kind::kGeluMul; }
  int64_t width() const { return is_gated() ? rows->ne[0] / 2 : rows->ne[0]; }
};

// src: the rows. dst: prepared for the form of the layer.
struct PrepareOp {
  const Linear* linear = nullptr;
  Activations from;
};

// src: prepared activations, and behind them the residual if one is added. dst: the layers' outputs
// side by side.
struct MultiplyOp {
  struct Part {
    const Linear* linear = nullptr;
    int src = 0;
    int64_t column = 0;
  };
  std::vector<Part> parts;
  int residual_src = -1;  // -1: none
};

// With ggml's signature of a custom operator; userdata is the struct above.
void run_prepare(ggml_tensor* dst, int ith, int nth, void* prepare_op);
void run_multiply(ggml_tensor* dst, int ith, int nth, void* multiply_op);

}  // namespace ebb::engine
