// Linear layers on a matrix unit: the processor's own where there is one, and one in plain code.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "emulated_matrix.h"
#include "kernels/linear.h"
#include "linear_case.h"

#if defined(__x86_64__)
namespace ebb::kernels {
namespace {

// A matrix unit by itself, whatever form_for says.
std::vector<float> run_matrix(const MatrixKernels& kernels, const PackedWeight& weight,
                              const std::vector<float>& x, int64_t n_rows, int nth = 1,
                              const float* bias = nullptr, const float* residual = nullptr) {
  std::vector<uint8_t> prepared(prepared_bytes(ActivationForm::kBf16, weight.n_in(), n_rows), 0xFF);
  for (int64_t row = 0; row < n_rows; ++row) {
    round_row(kernels, x.data() + row * weight.n_in(), weight.n_in(), row, prepared.data());
  }
  return run_shares(weight, prepared, n_rows, Isa::kBest, nth, {bias, residual},
                    [&](const LinearCall& call) { multiply_matrix(kernels, call); });
}

std::vector<std::pair<std::string, const MatrixKernels*>> matrix_units() {
  std::vector<std::pair<std::string, const MatrixKernels*>> out;
  if (can_emulate_matrix()) out.emplace_back("emulated", &emulated_matrix_kernels());
  if (can_run(Isa::kAmx)) out.emplace_back("amx", kernels_of(Isa::kAmx).matrix);
  return out;
}

class MatrixUnitOf : public testing::TestWithParam<WeightType> {};

// Both sides rounded to bfloat16, nine bits each: nearer than eight bits a block of activations.
constexpr double kMatrixError = 1e-3;

TEST_P(MatrixUnitOf, IsNearTheExactProduct) {
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

TEST_P(MatrixUnitOf, GivesARowTheSameBitsInAnyCompany) {
  if (matrix_units().empty()) GTEST_SKIP() << "no matrix unit, and none can be emulated";
  const int64_t n_in = 8192;  // 64 rows are a chunk
  const int64_t n_out = 40;   // three groups, the last half full
  const FileWeight weight(GetParam(), n_in, n_out);
  const PackedWeight packed = weight.pack(Arithmetic::kFast);
  std::vector<float> x = random_floats(static_cast<size_t>(n_in) * 70, 13);
  x[static_cast<size_t>(n_in) * 7 + 5] = std::numeric_limits<float>::quiet_NaN();
  x[static_cast<size_t>(n_in) * 9 + 6] = std::numeric_limits<float>::infinity();
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
    const std::vector<float> onto = random_floats(all.size(), 15);
    const std::vector<float> sum = run_matrix(*kernels, packed, x, 70, 2, bias.data(), onto.data());
    for (size_t i = 0; i < all.size(); ++i) {
      if (!std::isfinite(all[i])) continue;
      ASSERT_EQ(sum[i], onto[i] + all[i]) << name;
    }
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t row = i / static_cast<size_t>(n_out);
      ASSERT_EQ(std::isfinite(all[i]), row != 7 && row != 9) << name << ": row " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatrixUnitOf,
                         testing::ValuesIn(std::begin(kAllTypes) + kNumFloatTypes,
                                           std::end(kAllTypes)),
                         [](const auto& type) { return std::string(name_of(type.param)); });

TEST(MatrixUnit, IsTakenForManyRowsInFastAlone) {
  const FileWeight weight(WeightType::kQ4_1, 64, 32);
  for (const Isa isa : kAllIsas) {
    if (!can_run(isa)) continue;
    const ActivationForm many = isa == Isa::kAmx ? ActivationForm::kBf16 : ActivationForm::kInt8;
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kFast), 512, isa), many) << name_of(isa);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kFast), 1, isa), ActivationForm::kInt8);
    const ActivationForm fine = isa == Isa::kAmx ? ActivationForm::kBf16 : ActivationForm::kInt15;
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kFastFine), 512, isa), fine) << name_of(isa);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kFastFine), 1, isa), ActivationForm::kInt15);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kStrict), 512, isa), ActivationForm::kInt15);
    EXPECT_EQ(form_for(weight.pack(Arithmetic::kReference), 512, isa), ActivationForm::kFloat32);
  }
}

}  // namespace
}  // namespace ebb::kernels
#endif
