// Linear layers against ggml's dequantised weights in double precision, and their promise that bits
// depend on nothing but the row and the weights.
#include "kernels/linear.h"

#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"
#include "emulated_matrix.h"
#include "kernels/packed_block.h"

namespace ebb::kernels {
namespace {

constexpr WeightType kAllTypes[] = {WeightType::kF32,  WeightType::kF16,  WeightType::kBf16,
                                    WeightType::kQ4_0, WeightType::kQ4_1, WeightType::kQ5_0,
                                    WeightType::kQ5_1, WeightType::kQ8_0, WeightType::kQ4_K,
                                    WeightType::kQ5_K, WeightType::kQ6_K};
constexpr Isa kAllIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni, Isa::kAmx};

ggml_type ggml_type_of(WeightType type) {
  constexpr ggml_type kTypes[kNumWeightTypes] = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
                                                 GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,
                                                 GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K,
                                                 GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};
  return kTypes[static_cast<size_t>(type)];
}

std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1.0F) {
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

std::vector<float> run(const PackedWeight& weight, const std::vector<float>& x, int64_t n_rows,
                       Isa isa = Isa::kBest, int nth = 1, const float* bias = nullptr) {
  const ActivationForm form = form_for(weight, n_rows, isa);
  std::vector<uint8_t> prepared(prepared_bytes(form, weight.n_in(), n_rows));
  prepare_rows(form, {x.data(), weight.n_in(), weight.n_in()}, 0, n_rows, prepared.data(), isa);
  std::vector<float> y(static_cast<size_t>(weight.n_out() * n_rows),
                       std::numeric_limits<float>::quiet_NaN());
  for (int ith = 0; ith < nth; ++ith) {
    multiply({.weight = weight,
              .prepared = prepared.data(),
              .n_rows = n_rows,
              .y = y.data(),
              .y_stride = weight.n_out(),
              .bias = bias,
              .ith = ith,
              .nth = nth,
              .isa = isa});
  }
  return y;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The greatest |y - exact| / (|w| |x|) over all outputs, the exact product in double.
double worst_relative_error(const FileWeight& weight, const std::vector<float>& x,
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

class LinearOfType : public testing::TestWithParam<WeightType> {};

TEST_P(LinearOfType, DequantisesExactlyAsGgmlDoes) {
  const FileWeight weight(GetParam(), 512, 5);
  std::vector<float> ours(weight.values.size());
  const size_t row_bytes = weight.bytes.size() / 5;
  for (size_t n = 0; n < 5; ++n) {
    dequantise_row(weight.type, weight.bytes.data() + n * row_bytes, 512, ours.data() + n * 512);
  }
  EXPECT_TRUE(same_bits(ours, weight.values));
}

// Stated distance from the exact product, as a share of |w| |x|: float32 sums; activations rounded
// to 15 and to 8 bits per block of 32 (short rows are worst: fewer roundings to average over).
constexpr double kReferenceError = 1e-6;
constexpr double kStrictError = 4e-5;
constexpr double kFastError = 5e-3;

TEST_P(LinearOfType, StaysWithinItsStatedDistanceOfTheExactProduct) {
  const int64_t n_in = 512;
  const FileWeight weight(GetParam(), n_in, 40);
  const std::vector<float> x = random_floats(static_cast<size_t>(n_in) * 5, 2);
  const double reference =
      worst_relative_error(weight, x, run(weight.pack(Arithmetic::kReference), x, 5));
  const double strict =
      worst_relative_error(weight, x, run(weight.pack(Arithmetic::kStrict), x, 5));
  const double fast = worst_relative_error(weight, x, run(weight.pack(Arithmetic::kFast), x, 5));
  EXPECT_LT(reference, kReferenceError);
  EXPECT_LT(strict, kStrictError);
  EXPECT_LT(fast, kFastError);
  if (is_block_quantised(weight.type)) {
    EXPECT_GT(fast, 10 * strict) << "8-bit activations are as good as 15-bit ones?";
  }
}

TEST_P(LinearOfType, GivesARowTheSameBitsInAnyCompany) {
  const int64_t n_in = 256;
  const FileWeight weight(GetParam(), n_in, 50);
  const std::vector<float> x = random_floats(static_cast<size_t>(n_in) * 64, 3);
  for (const Arithmetic arithmetic :
       {Arithmetic::kReference, Arithmetic::kStrict, Arithmetic::kFast}) {
    const PackedWeight packed = weight.pack(arithmetic);
    std::vector<float> alone;
    for (size_t row = 0; row < 64; ++row) {
      const auto first = x.begin() + static_cast<std::ptrdiff_t>(row) * n_in;
      const std::vector<float> y = run(packed, {first, first + n_in}, 1);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (const int64_t n_rows : {1, 2, 3, 5, 7, 16, 33, 64}) {
      const std::vector<float> some(x.begin(), x.begin() + n_rows * n_in);
      const std::vector<float> expected(alone.begin(), alone.begin() + n_rows * 50);
      for (const Isa isa : kAllIsas) {
        if (can_run(isa) && form_for(packed, n_rows, isa) != ActivationForm::kBf16) {
          EXPECT_TRUE(same_bits(run(packed, some, n_rows, isa), expected))
              << n_rows << " rows on " << name_of(isa);
        }
      }
    }
  }
}

#if defined(__x86_64__)
// A matrix unit by itself, whatever form_for says.
std::vector<float> run_matrix(const MatrixKernels& kernels, const PackedWeight& weight,
                              const std::vector<float>& x, int64_t n_rows, int nth = 1,
                              const float* bias = nullptr) {
  std::vector<uint8_t> prepared(prepared_bytes(ActivationForm::kBf16, weight.n_in(), n_rows), 0xFF);
  for (int64_t row = 0; row < n_rows; ++row) {
    round_row(kernels, x.data() + row * weight.n_in(), weight.n_in(), row, prepared.data());
  }
  std::vector<float> y(static_cast<size_t>(weight.n_out() * n_rows),
                       std::numeric_limits<float>::quiet_NaN());
  for (int ith = 0; ith < nth; ++ith) {
    multiply_matrix(kernels, {.weight = weight,
                              .prepared = prepared.data(),
                              .n_rows = n_rows,
                              .y = y.data(),
                              .y_stride = weight.n_out(),
                              .bias = bias,
                              .ith = ith,
                              .nth = nth});
  }
  return y;
}

std::vector<std::pair<std::string, const MatrixKernels*>> matrix_units() {
  std::vector<std::pair<std::string, const MatrixKernels*>> out;
  if (can_emulate_matrix()) out.emplace_back("emulated", &emulated_matrix_kernels());
  if (can_run(Isa::kAmx)) out.emplace_back("amx", kernels_of(Isa::kAmx).matrix);
  return out;
}

// Both sides rounded to bfloat16, nine bits each: nearer than eight bits a block of activations.
constexpr double kMatrixError = 1e-3;

TEST_P(LinearOfType, IsNearTheExactProductOnAMatrixUnit) {
  if (!is_block_quantised(GetParam())) return;
  if (matrix_units().empty()) GTEST_SKIP() << "no matrix unit, and none can be emulated";
  const bool is_small = block_elements(GetParam()) < 256;
  for (const int64_t n_in : {is_small ? 32 : 256, is_small ? 576 : 768, 4096}) {
    const FileWeight weight(GetParam(), n_in, 40);
    const PackedWeight packed = weight.pack(Arithmetic::kFast);
    const std::vector<float> x = random_floats(static_cast<size_t>(n_in) * 37, 12);
    for (const auto& [name, kernels] : matrix_units()) {
      const double error = worst_relative_error(weight, x, run_matrix(*kernels, packed, x, 37));
      EXPECT_LT(error, n_in == 32 ? 3 * kMatrixError : kMatrixError) << name << ' ' << n_in;
      EXPECT_GT(error, 1e-6) << "numbers of nine bits have no such precision";
    }
  }
}

TEST_P(LinearOfType, GivesARowTheSameBitsInAnyCompanyOnAMatrixUnit) {
  if (!is_block_quantised(GetParam())) return;
  if (matrix_units().empty()) GTEST_SKIP() << "no matrix unit, and none can be emulated";
  const int64_t n_in = 8192;  // 64 rows are a chunk
  const int64_t n_out = 40;   // three groups, the last half full
  const FileWeight weight(GetParam(), n_in, n_out);
  const PackedWeight packed = weight.pack(Arithmetic::kFast);
  std::vector<float> x = random_floats(static_cast<size_t>(n_in) * 70, 13);
  x[static_cast<size_t>(n_in) * 7 + 5] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> bias = random_floats(static_cast<size_t>(n_out), 14);
  for (const auto& [name, kernels] : matrix_units()) {
    const std::vector<float> all = run_matrix(*kernels, packed, x, 70, 1, bias.data());
    for (const int64_t n_rows : {1, 33, 70}) {
      for (const int nth : {1, 3}) {
        const std::vector<float> some(x.begin(), x.begin() + n_rows * n_in);
        const std::vector<float> expected(all.begin(), all.begin() + n_rows * n_out);
        EXPECT_TRUE(
            same_bits(run_matrix(*kernels, packed, some, n_rows, nth, bias.data()), expected))
            << name << ": " << n_rows << " rows, " << nth << " threads";
      }
    }
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(std::isfinite(all[i]), i / n_out != 7) << name << ": row " << i / n_out;
    }
  }
}

TEST(Linear, TakesTheMatrixUnitForManyRowsInFastAlone) {
  const FileWeight weight(WeightType::kQ4_1, 64, 32);
  for (const Isa isa : kAllIsas) {
    if (!can_run(isa)) continue;
    const ActivationForm many = isa == Isa::kAmx ? ActivationForm::kBf16 : ActivationForm::kInt8;
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kFast), 512, isa), many) << name_of(isa);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kFast), 1, isa), ActivationForm::kInt8);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kStrict), 512, isa), ActivationForm::kInt15);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kReference), 512, isa), ActivationForm::kFloat32);
  }
}
#endif

TEST_P(LinearOfType, GivesTheSameBitsHoweverOutputsAreSplit) {
  for (const int64_t n_out : {1, 15, 16, 17, 576}) {
    const FileWeight weight(GetParam(), 256, n_out);
    const std::vector<float> x = random_floats(256 * 3, 4);
    const std::vector<float> bias = random_floats(static_cast<size_t>(n_out), 5);
    const PackedWeight packed = weight.pack(Arithmetic::kStrict, 3);
    const std::vector<float> whole = run(packed, x, 3, Isa::kBest, 1, bias.data());
    for (const int nth : {2, 3, 4}) {
      EXPECT_TRUE(same_bits(run(packed, x, 3, Isa::kBest, nth, bias.data()), whole))
          << n_out << " outputs in " << nth;
    }
    std::vector<float> without = run(packed, x, 3);
    EXPECT_LT(worst_relative_error(weight, x, without), kStrictError) << n_out;
    for (size_t i = 0; i < without.size(); ++i) {
      ASSERT_EQ(without[i] + bias[i % bias.size()], whole[i]);
    }
  }
}

TEST_P(LinearOfType, TurnsARowWithANanOrAnInfinityIntoNans) {
  const FileWeight weight(GetParam(), 256, 20);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = random_floats(256 * 3, 6);
    x[256 + 77] = bad;
    for (const Arithmetic arithmetic : {Arithmetic::kStrict, Arithmetic::kFast}) {
      for (const Isa isa : kAllIsas) {
        if (!can_run(isa)) {
          continue;
        }
        const std::vector<float> y = run(weight.pack(arithmetic), x, 3, isa);
        for (size_t n = 0; n < 20; ++n) {
          EXPECT_TRUE(std::isfinite(y[n]) && std::isfinite(y[40 + n]));
          EXPECT_FALSE(std::isfinite(y[20 + n])) << "a " << bad << " was dropped";
        }
      }
    }
  }
}

TEST_P(LinearOfType, KeepsItsPrecisionForExtremeActivations) {
  const FileWeight weight(GetParam(), 256, 20);
  std::vector<float> x = random_floats(256 * 4, 7);
  std::fill_n(x.begin(), 256, 0.0F);
  x[256 + 9] = 1e30F;
  for (size_t i = 512; i < 768; ++i) {
    x[i] *= 1e-36F;  // 16256 over the greatest of them overflows
  }
  for (size_t i = 768; i < 1024; ++i) {
    x[i] *= 1e35F;
  }
  std::vector<float> first;
  for (const Isa isa : kAllIsas) {
    if (!can_run(isa)) {
      continue;
    }
    const std::vector<float> y = run(weight.pack(Arithmetic::kStrict), x, 4, isa);
    for (size_t n = 0; n < 20; ++n) {
      EXPECT_EQ(y[n], 0.0F);
    }
    const std::vector<float> rest(x.begin() + 256, x.end());
    EXPECT_LT(worst_relative_error(weight, rest, {y.begin() + 20, y.end()}), 1e-4);
    first = first.empty() ? y : first;
    EXPECT_TRUE(same_bits(y, first)) << name_of(isa);
  }
}

TEST_P(LinearOfType, PacksAtNearlyTheSizeOfTheFile) {
  const FileWeight weight(GetParam(), 1024, 64);
  const PackedWeight packed = weight.pack(Arithmetic::kStrict);
  EXPECT_LE(static_cast<double>(packed.size_bytes()),
            1.03 * static_cast<double>(weight.bytes.size()));
  EXPECT_TRUE(same_bits(run(packed, random_floats(1024, 8), 1),
                        run(weight.pack(Arithmetic::kStrict, 4), random_floats(1024, 8), 1)));
}

INSTANTIATE_TEST_SUITE_P(All, LinearOfType, testing::ValuesIn(kAllTypes),
                         [](const auto& type) { return std::string(name_of(type.param)); });

TEST(Linear, TakesInputsThatAreWholeSmallBlocksButNotWholeLargeOnes) {
  for (const WeightType type : kAllTypes) {
    if (block_elements(type) == 256) {
      continue;
    }
    for (const int64_t n_in : {32, 96, 576}) {
      const FileWeight weight(type, n_in, 33);
      const std::vector<float> x = random_floats(static_cast<size_t>(n_in) * 9, 9);
      EXPECT_LT(worst_relative_error(weight, x, run(weight.pack(Arithmetic::kStrict), x, 9)),
                kStrictError)
          << name_of(type) << ' ' << n_in;
    }
  }
}

TEST(Linear, RefusesInputsThatAreNotWholeBlocks) {
  const std::vector<uint8_t> bytes(4096);
  EXPECT_THROW(PackedWeight::pack(WeightType::kQ4_1, bytes.data(), 40, 1, Arithmetic::kStrict, 1),
               Error);
  EXPECT_THROW(PackedWeight::pack(WeightType::kQ4_K, bytes.data(), 128, 1, Arithmetic::kStrict, 1),
               Error);
  EXPECT_THROW(PackedWeight::pack(WeightType::kF32, bytes.data(), 0, 1, Arithmetic::kStrict, 1),
               Error);
}

// Stored integers at their limits and the largest activations: no intermediate may saturate.
TEST(Linear, IsExactWhereEveryIntegerIsAtItsLimit) {
  for (const WeightType type : kAllTypes) {
    if (!is_block_quantised(type)) {
      continue;
    }
    FileWeight weight(type, 256, 16);
    for (const int fill : {0xFF, 0x00, 0x80, 0x7F}) {
      std::memset(weight.bytes.data(), fill, weight.bytes.size());
      const size_t block = block_bytes(type);
      for (size_t at = 0; at < weight.bytes.size(); at += block) {  // scales of 0.5 and 0.25
        const uint16_t half = 0x3800;
        const uint16_t quarter = 0x3400;
        uint8_t* p = weight.bytes.data() + at;
        std::memcpy(type == WeightType::kQ6_K ? p + 208 : p, &half, 2);
        if (type == WeightType::kQ4_1 || type == WeightType::kQ5_1 || type == WeightType::kQ4_K ||
            type == WeightType::kQ5_K) {
          std::memcpy(p + 2, &quarter, 2);
        }
      }
      ggml_get_type_traits(ggml_type_of(type))
          ->to_float(weight.bytes.data(), weight.values.data(), 256 * 16);
      const std::vector<float> x(256, -3.0F);
      std::vector<float> first;
      for (const Isa isa : kAllIsas) {
        if (can_run(isa)) {
          const std::vector<float> y = run(weight.pack(Arithmetic::kStrict), x, 1, isa);
          EXPECT_LE(worst_relative_error(weight, x, y), 1e-6)
              << name_of(type) << ' ' << fill << ' ' << name_of(isa);
          first = first.empty() ? y : first;
          EXPECT_TRUE(same_bits(first, y)) << name_of(type) << ' ' << name_of(isa);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ebb::kernels
