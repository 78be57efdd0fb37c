#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "linear_case.h"

namespace ebb::kernels {
namespace {

// The definition, one number after the other.
std::vector<float> plain_norm(const std::vector<float>& x, const std::vector<float>& weight,
                              float eps) {
  std::array<double, 8> sums{};
  const size_t n_whole = x.size() / 8 * 8;
  for (size_t i = 0; i < x.size(); ++i) {
    sums[i < n_whole ? i % 8 : 0] += static_cast<double>(x[i]) * x[i];
  }
  double sum = 0.0;
  for (const double s : sums) sum += s;
  const float scale =
      1.0F / std::sqrt(static_cast<float>(sum / static_cast<double>(x.size())) + eps);
  std::vector<float> out;
  for (size_t i = 0; i < x.size(); ++i) out.push_back(x[i] * scale * weight[i]);
  return out;
}

TEST(RmsNorm, GivesTheBitsOfItsDefinitionAtAnyLength) {
  for (const size_t n : {1, 7, 8, 9, 15, 16, 17, 31, 40, 64, 576, 640, 641}) {
    std::vector<float> x = random_floats(n, 1);
    const std::vector<float> weight = random_floats(n, 2);
    const std::vector<float> expected = plain_norm(x, weight, 1e-5F);
    std::vector<float> out(n);
    rms_norm(x.data(), weight.data(), 1e-5F, n, out.data());
    EXPECT_TRUE(same_bits(out, expected)) << n;
    rms_norm(x.data(), weight.data(), 1e-5F, n, x.data());
    EXPECT_TRUE(same_bits(x, expected)) << n << " in place";
  }
}

TEST(RmsNorm, MakesARowWithANanNan) {
  std::vector<float> x(64, 1.0F);
  x[63] = std::nanf("");
  const std::vector<float> weight(64, 1.0F);
  rms_norm(x.data(), weight.data(), 1e-5F, 64, x.data());
  for (const float v : x) EXPECT_TRUE(std::isnan(v));
}

}  // namespace
}  // namespace ebb::kernels
