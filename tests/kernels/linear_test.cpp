// Linear layers against ggml's dequantised weights in double precision, and their promise that bits
// depend on nothing but the row and the weights.
#include "kernels/linear.h"

#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/packed_block.h"
#include "linear_case.h"

namespace ebb::kernels {
namespace {

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
  const PackedWeight fine = weight.pack(Arithmetic::kFastFine);
  EXPECT_TRUE(same_bits(run(fine, x, 5), run(weight.pack(Arithmetic::kStrict), x, 5)));
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

// Layers that share an operator write side by side into the same rows.
TEST_P(LinearOfType, WritesIntoItsOwnColumnsOnly) {
  constexpr int64_t kRows = 9;
  constexpr int64_t kOut = 41;
  constexpr int64_t kStride = 60;
  const FileWeight weight(GetParam(), 256, kOut, 6);
  const PackedWeight packed = weight.pack(Arithmetic::kStrict);
  const std::vector<float> x = random_floats(256 * kRows, 7);
  const std::vector<float> expected = run(packed, x, kRows);
  const ActivationForm form = form_for(packed, kRows);
  std::vector<uint8_t> prepared(prepared_bytes(form, 256, kRows));
  prepare_rows(form, {x.data(), 256, 256}, 0, kRows, prepared.data());
  std::vector<float> y(kStride * kRows, 7.0F);
  multiply({.weight = packed,
            .prepared = prepared.data(),
            .n_rows = kRows,
            .y = y.data() + 3,
            .y_stride = kStride});
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kStride; ++i) {
      const bool is_mine = i >= 3 && i < 3 + kOut;
      ASSERT_EQ(y[static_cast<size_t>(row * kStride + i)],
                is_mine ? expected[static_cast<size_t>(row * kOut + i - 3)] : 7.0F);
    }
  }
}

// One sum in one rounding: what a residual is added to is what the layer gives without it.
TEST_P(LinearOfType, AddsAResidualToWhatTheLayerGives) {
  constexpr int64_t kRows = 11;
  for (const auto& [n_out, arithmetic] :
       {std::pair<int64_t, Arithmetic>{32, Arithmetic::kStrict}, {41, Arithmetic::kFast}}) {
    const FileWeight weight(GetParam(), 256, n_out, 6);
    const PackedWeight packed = weight.pack(arithmetic);
    const std::vector<float> x = random_floats(256 * kRows, 7);
    const std::vector<float> bias = random_floats(static_cast<size_t>(n_out), 8);
    const std::vector<float> residual = random_floats(static_cast<size_t>(n_out * kRows), 9);
    for (const float* added : {static_cast<const float*>(nullptr), bias.data()}) {
      std::vector<float> sum = run(packed, x, kRows, Isa::kBest, 1, added);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = residual[i] + sum[i];
      EXPECT_TRUE(same_bits(run(packed, x, kRows, Isa::kBest, 2, added, residual.data()), sum));
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
