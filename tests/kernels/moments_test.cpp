// Sums of outer products: equal to the formula, and cut into calls in any way.
#include "kernels/moments.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attention_case.h"

namespace ebb::kernels {
namespace {

class OuterProducts : public testing::TestWithParam<size_t> {
 protected:
  static constexpr size_t kRows = 23;
  const size_t dim_ = GetParam();
  const size_t stride_ = dim_ + 3;
  const std::vector<float> rows_ = normal_floats(kRows * stride_, 5);
};

INSTANTIATE_TEST_SUITE_P(Dims, OuterProducts, testing::Values(1, 6, 16, 50, 64, 80, 128));

TEST_P(OuterProducts, EqualTheFormula) {
  std::vector<float> sum(dim_, 0.5F);
  std::vector<float> outer(dim_ * dim_, 0.25F);
  add_outer_products(rows_.data(), stride_, kRows, dim_, sum.data(), outer.data());
  for (size_t a = 0; a < dim_; ++a) {
    double first = 0.5;
    for (size_t r = 0; r < kRows; ++r) first += rows_[r * stride_ + a];
    ASSERT_NEAR(first, sum[a], 1e-5) << a;
    for (size_t b = a; b < dim_; ++b) {
      double exact = 0.25;
      for (size_t r = 0; r < kRows; ++r) {
        exact += static_cast<double>(rows_[r * stride_ + a]) * rows_[r * stride_ + b];
      }
      ASSERT_NEAR(exact, outer[a * dim_ + b], 1e-5 * std::max(1.0, std::abs(exact)))
          << a << ", " << b;
    }
  }
}

TEST_P(OuterProducts, DoNotDependOnHowRowsAreCut) {
  std::vector<float> sum(dim_), outer(dim_ * dim_);
  add_outer_products(rows_.data(), stride_, kRows, dim_, sum.data(), outer.data());
  std::vector<float> sum_cut(dim_), outer_cut(dim_ * dim_);
  for (size_t first = 0, n = 1; first < kRows; first += n, n = n % 5 + 1) {
    add_outer_products(&rows_[first * stride_], stride_, std::min(n, kRows - first), dim_,
                       sum_cut.data(), outer_cut.data());
  }
  EXPECT_EQ(sum, sum_cut);
  for (size_t a = 0; a < dim_; ++a) {
    for (size_t b = a; b < dim_; ++b) {
      ASSERT_EQ(outer[a * dim_ + b], outer_cut[a * dim_ + b]) << a << ", " << b;
    }
  }
}

}  // namespace
}  // namespace ebb::kernels
