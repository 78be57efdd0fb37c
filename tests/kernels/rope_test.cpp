// Rotary embedding: the angle it turns by, both pairings, and turning in steps.
#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "attention_case.h"

namespace ebb::kernels {
namespace {

constexpr int kHeadDim = 64;

std::vector<float> frequencies() {
  std::vector<float> out;
  for (int i = 0; i < kHeadDim / 2; ++i) {
    out.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / kHeadDim)));
  }
  return out;
}

class Rope : public testing::TestWithParam<RotaryPairs> {
 protected:
  Rope() : table_(frequencies(), GetParam()) { table_.reserve(RopePos{9000}); }

  size_t first_of(size_t pair) const {
    return GetParam() == RotaryPairs::kInterleaved ? 2 * pair : pair;
  }
  size_t second_of(size_t pair) const {
    return GetParam() == RotaryPairs::kInterleaved ? 2 * pair + 1 : pair + kHeadDim / 2;
  }
  std::vector<float> rotated(const std::vector<float>& in, int pos) const {
    std::vector<float> out(in.size());
    table_.rotate(in.data(), out.data(), RopePos{pos});
    return out;
  }

  RopeTable table_;
  std::vector<float> head_ = normal_floats(kHeadDim, 4);
};

INSTANTIATE_TEST_SUITE_P(Pairs, Rope,
                         testing::Values(RotaryPairs::kInterleaved, RotaryPairs::kHalfSplit),
                         [](const auto& param) {
                           return param.param == RotaryPairs::kInterleaved ? "Interleaved"
                                                                           : "HalfSplit";
                         });

// Products are rounded before they are added, in vectors as in the numbers that do not fill one.
TEST_P(Rope, HasTheBitsOfOnePairAfterTheOther) {
  for (const size_t half : {1, 7, 16, 20, 40, 64}) {
    std::vector<float> frequencies;
    for (size_t i = 0; i < half; ++i) frequencies.push_back(1.0F / static_cast<float>(i + 1));
    RopeTable table(frequencies, GetParam());
    table.reserve(RopePos{100});
    const bool is_interleaved = GetParam() == RotaryPairs::kInterleaved;
    const std::vector<float> in = normal_floats(2 * half, 5);
    for (const int pos : {3, -77}) {
      std::vector<float> out(2 * half);
      table.rotate(in.data(), out.data(), RopePos{pos});
      for (size_t i = 0; i < half; ++i) {
        const size_t at = is_interleaved ? 2 * i : i;
        const size_t partner = is_interleaved ? 2 * i + 1 : i + half;
        const float angle = static_cast<float>(std::abs(pos)) * frequencies[i];
        const float c = std::cos(angle);
        const float s = pos < 0 ? -std::sin(angle) : std::sin(angle);
        const float products[] = {in[at] * c, in[partner] * s, in[partner] * c, in[at] * s};
        ASSERT_EQ(out[at], products[0] - products[1]) << half;
        ASSERT_EQ(out[partner], products[2] + products[3]) << half;
      }
    }
  }
}

TEST_P(Rope, TurnsEveryPairByPositionTimesFrequency) {
  for (const int pos : {0, 1, 2, 17, 255, 256, 8191, -1, -300}) {
    const std::vector<float> out = rotated(head_, pos);
    for (size_t i = 0; i < kHeadDim / 2; ++i) {
      // The angle is rounded to float first, as Hugging Face does it.
      const double angle = static_cast<float>(pos) * table_.frequencies()[i];
      const double a = head_[first_of(i)];
      const double b = head_[second_of(i)];
      EXPECT_NEAR(out[first_of(i)], a * std::cos(angle) - b * std::sin(angle), 1e-6);
      EXPECT_NEAR(out[second_of(i)], a * std::sin(angle) + b * std::cos(angle), 1e-6);
    }
  }
}

TEST_P(Rope, PositionZeroIsTheIdentityBitForBit) { EXPECT_EQ(rotated(head_, 0), head_); }

TEST_P(Rope, TurningThereAndBackIsTheIdentity) {
  for (const int pos : {1, 7, 300, 5000}) {
    const std::vector<float> back = rotated(rotated(head_, pos), -pos);
    for (size_t c = 0; c < kHeadDim; ++c) EXPECT_NEAR(back[c], head_[c], 2e-6) << pos;
  }
}

TEST_P(Rope, TurningTwiceIsTurningByTheSum) {
  for (const auto& [a, b] : {std::pair{1, 1}, {3, 700}, {700, -3}, {-5, 2}, {4000, 4000}}) {
    const std::vector<float> twice = rotated(rotated(head_, a), b);
    const std::vector<float> once = rotated(head_, a + b);
    // The angle of each is rounded to float: at 8,000 radians that is half of 2^-11.
    const double tolerance = 3e-6 + 4e-7 * (std::abs(a) + std::abs(b));
    for (size_t c = 0; c < kHeadDim; ++c)
      EXPECT_NEAR(twice[c], once[c], tolerance) << a << " " << b;
  }
}

TEST_P(Rope, ProductOfKeyAndQueryDependsOnTheirDistanceOnly) {
  const std::vector<float> other = normal_floats(kHeadDim, 5);
  const auto product = [&](int key_pos, int query_pos) {
    const std::vector<float> k = rotated(head_, key_pos);
    const std::vector<float> q = rotated(other, query_pos);
    double sum = 0.0;
    for (size_t c = 0; c < kHeadDim; ++c) sum += static_cast<double>(k[c]) * q[c];
    return sum;
  };
  EXPECT_NEAR(product(3, 10), product(103, 110), 1e-4);
  EXPECT_GT(std::abs(product(3, 10) - product(3, 11)), 1e-2) << "one position matters";
}

TEST_P(Rope, RotatesInPlace) {
  std::vector<float> inout = head_;
  table_.rotate(inout.data(), inout.data(), RopePos{77});
  EXPECT_EQ(inout, rotated(head_, 77));
}

TEST_P(Rope, GrowingTheTableChangesNoPosition) {
  RopeTable small(frequencies(), GetParam());
  std::vector<float> grown(kHeadDim);
  for (const int last : {0, 1, 5, 40, 41, 3000}) {
    small.reserve(RopePos{last});
    small.rotate(head_.data(), grown.data(), RopePos{last});
    EXPECT_EQ(grown, rotated(head_, last)) << last;
  }
}

TEST(RopePairs, InterleavedAndHalfSplitDiffer) {
  RopeTable interleaved(frequencies(), RotaryPairs::kInterleaved);
  RopeTable halves(frequencies(), RotaryPairs::kHalfSplit);
  interleaved.reserve(RopePos{9});
  halves.reserve(RopePos{9});
  const std::vector<float> in = normal_floats(kHeadDim, 6);
  std::vector<float> a(kHeadDim), b(kHeadDim);
  interleaved.rotate(in.data(), a.data(), RopePos{9});
  halves.rotate(in.data(), b.data(), RopePos{9});
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace ebb::kernels
