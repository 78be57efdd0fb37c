// The gated activations against their formulas in double, at every length and at the extremes.
#include "kernels/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "attention_case.h"

namespace ebb::kernels {
namespace {

double silu(double x) { return x / (1.0 + std::exp(-x)); }
double gelu(double x) {
  const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + std::tanh(inner));
}

struct Activation {
  const char* name;
  void (*run)(const float*, const float*, size_t, float*);
  double (*exact)(double);
};
constexpr Activation kAll[] = {{"silu", silu_mul, silu}, {"gelu", gelu_mul, gelu}};

TEST(Activation, EqualsItsFormulaFromMinus20To20) {
  std::vector<float> gate;
  for (float x = -20.0F; x <= 20.0F; x += 0.003F) gate.push_back(x);
  const std::vector<float> up = normal_floats(gate.size(), 3);
  std::vector<float> out(gate.size());
  for (const Activation& activation : kAll) {
    activation.run(gate.data(), up.data(), gate.size(), out.data());
    for (size_t i = 0; i < gate.size(); ++i) {
      const double exact = activation.exact(gate[i]) * up[i];
      // Where the result is tiny, what counts is its size beside the input.
      const double tolerance = 2e-6 * std::abs(exact) + 2e-7 * std::abs(up[i]);
      ASSERT_NEAR(out[i], exact, tolerance) << activation.name << " of " << gate[i];
    }
  }
}

TEST(Activation, RestOfAnOddLengthEqualsTheVectorPart) {
  const std::vector<float> gate = normal_floats(67, 5, 3.0F);
  const std::vector<float> up = normal_floats(67, 6);
  for (const Activation& activation : kAll) {
    for (size_t n = 0; n <= gate.size(); ++n) {
      std::vector<float> out(gate.size(), -7.0F);
      activation.run(gate.data(), up.data(), n, out.data());
      for (size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(out[i], activation.exact(gate[i]) * up[i], 1e-5) << activation.name << n;
      }
      for (size_t i = n; i < out.size(); ++i) ASSERT_EQ(out[i], -7.0F) << "nothing past the end";
    }
  }
}

TEST(Activation, LargeInputsStayFiniteAndSmallOnesVanish) {
  const std::vector<float> gate{1e4F,   -1e4F,   88.0F,  -88.0F,  100.0F, -100.0F,
                                0.0F,   -0.0F,   1e-30F, -1e-30F, 1e9F,   -1e9F,
                                300.0F, -300.0F, 50.0F,  -50.0F,  1e4F};
  const std::vector<float> up(gate.size(), 1.0F);
  std::vector<float> out(gate.size());
  for (const Activation& activation : kAll) {
    activation.run(gate.data(), up.data(), gate.size(), out.data());
    for (size_t i = 0; i < gate.size(); ++i) {
      ASSERT_TRUE(std::isfinite(out[i])) << activation.name << " of " << gate[i];
      const float expected = gate[i] > 1.0F ? gate[i] : 0.0F;
      ASSERT_NEAR(out[i], expected, 1e-6F * std::abs(gate[i]) + 1e-30F)
          << activation.name << gate[i];
    }
  }
}

TEST(Activation, NotANumberStaysNotANumberInEveryLane) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Activation& activation : kAll) {
    for (size_t at = 0; at < 37; ++at) {
      std::vector<float> gate(37, 1.0F);
      gate[at] = nan;
      const std::vector<float> up(37, 2.0F);
      std::vector<float> out(37);
      activation.run(gate.data(), up.data(), 37, out.data());
      for (size_t i = 0; i < 37; ++i) ASSERT_EQ(std::isnan(out[i]), i == at) << activation.name;
    }
  }
}

}  // namespace
}  // namespace ebb::kernels
