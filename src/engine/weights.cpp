#include "engine/weights.h"

#include <new>

#include "base/error.h"
#include "base/platform.h"
#include "tensor/types.h"

namespace ebb::engine {
namespace {

std::vector<float> floats_of(const model::Weight& weight) {
  std::vector<float> out;
  if (!weight) return out;
  out.resize(static_cast<size_t>(weight.n_in * weight.n_out));
  tensor::dequantise_row(weight.type, weight.data, out);
  return out;
}

}  // namespace

kernels::Arithmetic arithmetic_of(Numerics numerics) {
  switch (numerics) {
    case Numerics::kReference:
      return kernels::Arithmetic::kReference;
    case Numerics::kStrict:
      return kernels::Arithmetic::kStrict;
    case Numerics::kFast:
      return kernels::Arithmetic::kFast;
  }
  return kernels::Arithmetic::kStrict;
}

kernels::WeightType weight_type_of(ggml_type type) {
  switch (type) {
    case GGML_TYPE_F32:
      return kernels::WeightType::kF32;
    case GGML_TYPE_F16:
      return kernels::WeightType::kF16;
    case GGML_TYPE_BF16:
      return kernels::WeightType::kBf16;
    case GGML_TYPE_Q4_0:
      return kernels::WeightType::kQ4_0;
    case GGML_TYPE_Q4_1:
      return kernels::WeightType::kQ4_1;
    case GGML_TYPE_Q5_0:
      return kernels::WeightType::kQ5_0;
    case GGML_TYPE_Q5_1:
      return kernels::WeightType::kQ5_1;
    case GGML_TYPE_Q8_0:
      return kernels::WeightType::kQ8_0;
    case GGML_TYPE_Q4_K:
      return kernels::WeightType::kQ4_K;
    case GGML_TYPE_Q5_K:
      return kernels::WeightType::kQ5_K;
    case GGML_TYPE_Q6_K:
      return kernels::WeightType::kQ6_K;
    default:
      throw Error::make(ErrorKind::kBadModel, "no kernel reads weights of type {}",
                        ggml_type_name(type));
  }
}

size_t predict_packed_bytes(const model::Model& model, const EngineOptions& options) {
  if (options.kernels == LinearKernels::kGgml) return 0;
  size_t n_bytes = 0;
  const auto add = [&](const model::Weight& weight) {
    if (!weight) return;
    // Packed scales take up to 3 % more room than in the file.
    n_bytes += options.numerics == Numerics::kReference
                   ? static_cast<size_t>(weight.n_in * weight.n_out) * sizeof(float)
                   : weight.size_bytes() + weight.size_bytes() / 32;
  };
  for (int i = 0; i < model.config().n_layers; ++i) {
    const model::LayerWeights& layer = model.layer(i);
    for (const model::Weight* weight : {&layer.q, &layer.k, &layer.v, &layer.attn_out,
                                        &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      add(*weight);
    }
  }
  add(model.output());
  return n_bytes;
}

EngineWeights::EngineWeights(const model::Model& model, const EngineOptions& options, int n_threads)
    : options_(options), n_threads_(n_threads) {
  const model::ModelConfig& config = model.config();
  const size_t n_tensors = static_cast<size_t>(config.n_layers) * 7 + 1;
  context_.reset(ggml_init({ggml_tensor_overhead() * n_tensors, nullptr, true}));
  if (!context_) throw Error(ErrorKind::kOutOfMemory, "no memory for tensor descriptions");
  const model::Weight none;
  const kernels::Arithmetic usual = arithmetic_of(options_.numerics);
  for (int i = 0; i < config.n_layers; ++i) {
    const model::LayerWeights& from = model.layer(i);
    LayerLinears to;
    to.q = make_linear(from.q, from.q_bias, usual);
    to.k = make_linear(from.k, from.k_bias, usual);
    to.v = make_linear(from.v, from.v_bias, usual);
    to.attn_out = make_linear(from.attn_out, none, usual);
    // Rounding in the last of them reaches the logits as it is, a quarter of their distance.
    const bool is_last = i + 1 == config.n_layers;
    const kernels::Arithmetic forward =
        is_last && usual == kernels::Arithmetic::kFast ? kernels::Arithmetic::kFastFine : usual;
    to.ffn_gate = make_linear(from.ffn_gate, none, forward);
    to.ffn_up = make_linear(from.ffn_up, none, forward);
    to.ffn_down = make_linear(from.ffn_down, none, forward);
    to.attn_norm = floats_of(from.attn_norm);
    to.q_norm = floats_of(from.q_norm);
    to.k_norm = floats_of(from.k_norm);
    to.attn_post_norm = floats_of(from.attn_post_norm);
    to.ffn_norm = floats_of(from.ffn_norm);
    to.ffn_post_norm = floats_of(from.ffn_post_norm);
    layers_.push_back(std::move(to));
  }
  output_ = make_linear(model.output(), none, usual);
  output_norm_ = floats_of(model.output_norm());
}

Linear EngineWeights::make_linear(const model::Weight& weight, const model::Weight& bias,
                                  kernels::Arithmetic arithmetic) {
  Linear out;
  out.n_in = weight.n_in;
  out.n_out = weight.n_out;
  out.bias = floats_of(bias);
  if (options_.kernels == LinearKernels::kGgml) {
    out.tensor = ggml_new_tensor_2d(context_.get(), weight.type, weight.n_in, weight.n_out);
    out.tensor->data =
        const_cast<void*>(weight.data);  // ggml has no const tensors; it is only read
    return out;
  }
  try {
    out.packed = kernels::PackedWeight::pack(weight_type_of(weight.type), weight.data, weight.n_in,
                                             weight.n_out, arithmetic, n_threads_);
  } catch (const std::bad_alloc&) {
    throw Error::make(ErrorKind::kOutOfMemory, "no memory to repack weight {}", weight.name);
  } catch (const Error& error) {
    throw error.with_context(weight.name);
  }
  packed_bytes_ += out.packed->size_bytes();
  // The packed copy is the one that is used: two copies of the weights would not fit a 12B model.
  platform::forget_file_pages(weight.data, weight.size_bytes());
  return out;
}

}  // namespace ebb::engine
