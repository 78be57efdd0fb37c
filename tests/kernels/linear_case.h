// Random weights as a file would hold them, products over them, and how far those are from exact.
#pragma once

#include <ggml.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/linear.h"

namespace ebb::kernels {

inline constexpr WeightType kAllTypes[] = {WeightType::kF32,  WeightType::kF16,  WeightType::kBf16,
                                           WeightType::kQ4_0, WeightType::kQ4_1, WeightType::kQ5_0,
                                           WeightType::kQ5_1, WeightType::kQ8_0, WeightType::kQ4_K,
                                           WeightType::kQ5_K, WeightType::kQ6_K};
inline constexpr Isa kAllIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni, Isa::kAmx};

inline ggml_type ggml_type_of(WeightType type) {
  constexpr ggml_type kTypes[kNumWeightTypes] = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
                                                 GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,
                                                 GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K,
                                                 GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};
  return kTypes[static_cast<size_t>(type)];
}

inline std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  for (float& value : values) {
    value = normal(generator);
  }
  return values;
}

// Random weights as a file would hold them, and what ggml reads from those bytes.
struct FileWeight {
  FileWeight(WeightType file_type, int64_t inputs, int64_t outputs, uint32_t seed = 1)
      : type(file_type), n_in(inputs), n_out(outputs) {
    const ggml_type ggml = ggml_type_of(type);
    bytes.resize(ggml_row_size(ggml, n_in) * static_cast<size_t>(n_out));
    values = random_floats(static_cast<size_t>(n_in * n_out), seed, 0.05F);
    if (type == WeightType::kF32) {
      std::memcpy(bytes.data(), values.data(), bytes.size());
      return;
    }
    ggml_quantize_chunk(ggml, values.data(), bytes.data(), 0, n_out, n_in, nullptr);
    ggml_get_type_traits(ggml)->to_float(bytes.data(), values.data(), n_in * n_out);
  }
  PackedWeight pack(Arithmetic arithmetic, int n_threads = 1) const {
    return PackedWeight::pack(type, bytes.data(), n_in, n_out, arithmetic, n_threads);
  }

  WeightType type;
  int64_t n_in;
  int64_t n_out;
  std::vector<uint8_t> bytes;
  std::vector<float> values;  // [n_in, n_out], ggml's dequantisation
};

// What is added to each output, or null.
struct Added {
  const float* bias = nullptr;      // [n_out]
  const float* residual = nullptr;  // [n_out, n_rows]
};

// All shares of prepared rows, each by multiply_share(call).
template <typename MultiplyShare>
std::vector<float> run_shares(const PackedWeight& weight, const std::vector<uint8_t>& prepared,
                              int64_t n_rows, Isa isa, int nth, const Added& added,
                              const MultiplyShare& multiply_share) {
  std::vector<float> y(static_cast<size_t>(weight.n_out() * n_rows),
                       std::numeric_limits<float>::quiet_NaN());
  for (int ith = 0; ith < nth; ++ith) {
    multiply_share(LinearCall{.weight = weight,
                              .prepared = prepared.data(),
                              .n_rows = n_rows,
                              .y = y.data(),
                              .y_stride = weight.n_out(),
                              .bias = added.bias,
                              .residual = added.residual,
                              .residual_stride = weight.n_out(),
                              .ith = ith,
                              .nth = nth,
                              .isa = isa});
  }
  return y;
}

inline std::vector<float> run(const PackedWeight& weight, const std::vector<float>& x,
                              int64_t n_rows, Isa isa = Isa::kBest, int nth = 1,
                              const float* bias = nullptr, const float* residual = nullptr) {
  const ActivationForm form = form_for(weight, n_rows, isa);
  std::vector<uint8_t> prepared(prepared_bytes(form, weight.n_in(), n_rows));
  prepare_rows(form, {x.data(), weight.n_in(), weight.n_in()}, 0, n_rows, prepared.data(), isa);
  return run_shares(weight, prepared, n_rows, isa, nth, {bias, residual}, multiply);
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The greatest |y - exact| / (|w| |x|) over all outputs, the exact product in double.
inline double worst_relative_error(const FileWeight& weight, const std::vector<float>& x,
                                   const std::vector<float>& y) {
  const auto n_in = static_cast<size_t>(weight.n_in);
  const auto n_out = static_cast<size_t>(weight.n_out);
  double worst = 0.0;
  for (size_t row = 0; row < x.size() / n_in; ++row) {
    for (size_t n = 0; n < n_out; ++n) {
      double exact = 0.0;
      double w_norm = 0.0;
      double x_norm = 0.0;
      for (size_t k = 0; k < n_in; ++k) {
        const double w = weight.values[n * n_in + k];
        const double v = x[row * n_in + k];
        exact += w * v;
        w_norm += w * w;
        x_norm += v * v;
      }
      const double error = std::abs(static_cast<double>(y[row * n_out + n]) - exact);
      worst = std::max(worst, error / std::sqrt(w_norm * x_norm));
    }
  }
  return worst;
}

}  // namespace ebb::kernels
