#include "kernels/vector_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "linear_case.h"

namespace ebb::kernels {
namespace {

TEST(Lowest, IsFoundAtAnyPlaceOfAListOfAnyLength) {
  for (const size_t n : {1, 2, 15, 16, 17, 31, 32, 33, 64, 100}) {
    const std::vector<float> others = random_floats(n, 1);
    for (size_t place = 0; place < n; ++place) {
      std::vector<float> x = others;
      x[place] = -1000.0F;
      EXPECT_EQ(lowest(x), -1000.0F) << place << " of " << n;
      x[place] = -std::numeric_limits<float>::infinity();
      EXPECT_EQ(lowest(x), x[place]) << place << " of " << n;
    }
    EXPECT_EQ(lowest(others), *std::min_element(others.begin(), others.end())) << n;
  }
}

TEST(Lowest, IsInfinityWhereNothingIsLower) {
  EXPECT_EQ(lowest({}), std::numeric_limits<float>::infinity());
  const std::vector<float> x(37, std::numeric_limits<float>::infinity());
  EXPECT_EQ(lowest(x), std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace ebb::kernels
