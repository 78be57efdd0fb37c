#include "engine/linear_ops.h"

#include "kernels/activation.h"
#include "kernels/linear.h"
#include "kernels/norm.h"

namespace ebb::engine {
namespace {

int64_t stride_of(const ggml_tensor* t) { return static_cast<int64_t>(t->nb[1] / sizeof(float)); }

const float* floats_of(const ggml_tensor* t) { return static_cast<const float*>(t->data); }

// One row of what the layer reads.
void make_row(const Activations& from, const float* row, std::vector<float>& out) {
  const auto n = static_cast<size_t>(from.width());
  out.resize(n);
  switch (from.kind) {
    case Activations::Kind::kRows:
      break;
    case Activations::Kind::kNorm:
      return kernels::rms_norm(row, from.weight, from.eps, n, out.data());
    case Activations::Kind::kSiluMul:
      return kernels::silu_mul(row, row + n, n, out.data());
    case Activations::Kind::kGeluMul:
      return kernels::gelu_mul(row, row + n, n, out.data());
  }
}

}  // namespace

void run_prepare(ggml_tensor* dst, int ith, int nth, void* prepare_op) {
  const auto& op = *static_cast<const PrepareOp*>(prepare_op);
  const ggml_tensor* x = dst->src[0];
  const int64_t n_rows = x->ne[1];
  const kernels::ActivationForm form = kernels::form_for(*op.linear->packed, n_rows);
  const int64_t begin = n_rows * ith / nth;
  const int64_t end = n_rows * (ith + 1) / nth;
  if (op.from.kind == Activations::Kind::kRows) {
    kernels::prepare_rows(form, {floats_of(x), x->ne[0], stride_of(x)}, begin, end, dst->data);
    return;
  }
  thread_local std::vector<float> made;
  for (int64_t row = begin; row < end; ++row) {
    make_row(op.from, floats_of(x) + row * stride_of(x), made);
    // No stride: whichever row is asked for is the one that was made.
    kernels::prepare_rows(form, {made.data(), op.from.width(), 0}, row, row + 1, dst->data);
  }
}

void run_multiply(ggml_tensor* dst, int ith, int nth, void* multiply_op) {
  const auto& op = *static_cast<const MultiplyOp*>(multiply_op);
  const ggml_tensor* residual = op.residual_src < 0 ? nullptr : dst->src[op.residual_src];
  for (const MultiplyOp::Part& part : op.parts) {
    const Linear& linear = *part.linear;
    kernels::multiply({.weight = *linear.packed,
                       .prepared = dst->src[part.src]->data,
                       .n_rows = dst->ne[1],
                       .y = static_cast<float*>(dst->data) + part.column,
                       .y_stride = stride_of(dst),
                       .bias = linear.bias.empty() ? nullptr : linear.bias.data(),
                       .residual = residual == nullptr ? nullptr : floats_of(residual),
                       .residual_stride = residual == nullptr ? 0 : stride_of(residual),
                       .ith = ith,
                       .nth = nth});
  }
}

}  // namespace ebb::engine
