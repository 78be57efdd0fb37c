// Conversions between float32 and the types of cells: every f16 and bf16 number, and rounding.
#include "kernels/numbers.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

namespace ebb::kernels {
namespace {

std::vector<uint16_t> all_halves() {
  std::vector<uint16_t> out(65536);
  std::iota(out.begin(), out.end(), uint16_t{0});
  return out;
}

// A binary16 number by its definition, in double.
double half_value(uint16_t half) {
  const double sign = (half & 0x8000U) != 0 ? -1.0 : 1.0;
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

uint16_t to_half(CellType type, float x) {
  uint16_t out[64];
  // Both the vector part and the rest of an odd length must agree.
  std::vector<float> in(37, x);
  from_floats(type, in.data(), in.size(), out);
  for (size_t i = 1; i < in.size(); ++i) EXPECT_EQ(out[0], out[i]) << x;
  return out[0];
}

TEST(Numbers, EveryF16IsReadExactly) {
  const std::vector<uint16_t> halves = all_halves();
  std::vector<float> floats(halves.size());
  to_floats(CellType::kF16, halves.data(), halves.size(), floats.data());
  for (size_t i = 0; i < halves.size(); ++i) {
    const double exact = half_value(halves[i]);
    if (std::isnan(exact)) {
      ASSERT_TRUE(std::isnan(floats[i])) << i;
      continue;
    }
    ASSERT_EQ(exact, floats[i]) << i;
    ASSERT_EQ(std::signbit(exact), std::signbit(floats[i])) << i;
    ASSERT_EQ(std::bit_cast<uint32_t>(f16_to_f32(halves[i])), std::bit_cast<uint32_t>(floats[i]));
  }
}

TEST(Numbers, EveryF16AndBf16SurvivesTheWayThroughFloat32) {
  for (const CellType type : {CellType::kF16, CellType::kBf16}) {
    const std::vector<uint16_t> halves = all_halves();
    std::vector<float> floats(halves.size());
    std::vector<uint16_t> back(halves.size());
    to_floats(type, halves.data(), halves.size(), floats.data());
    from_floats(type, floats.data(), floats.size(), back.data());
    for (size_t i = 0; i < halves.size(); ++i) {
      if (std::isnan(floats[i])) {
        float again = 0.0F;
        to_floats(type, &back[i], 1, &again);
        ASSERT_TRUE(std::isnan(again)) << i;
      } else {
        ASSERT_EQ(halves[i], back[i]);
      }
    }
  }
}

TEST(Numbers, F16RoundsToNearestEvenAtEveryBorder) {
  // Between each pair of neighbouring finite numbers: the midpoint and its two float neighbours.
  for (uint16_t low = 0; low < 0x7BFFU; ++low) {
    const float middle = static_cast<float>((half_value(low) + half_value(low + 1)) / 2);
    const uint16_t even = low % 2 == 0 ? low : static_cast<uint16_t>(low + 1);
    ASSERT_EQ(f32_to_f16(middle), even) << low;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0F)), low);
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9F)), low + 1);
  }
}

TEST(Numbers, VectorAndScalarRoundingAgree) {
  std::vector<float> in;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 65521 * 3) {
    const auto x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!std::isnan(x)) in.push_back(x);
  }
  for (uint16_t low = 0; low < 0x7BFFU; low = static_cast<uint16_t>(low + 3)) {
    in.push_back(static_cast<float>((half_value(low) + half_value(low + 1)) / -2));
  }
  std::vector<uint16_t> out(in.size());
  from_floats(CellType::kF16, in.data(), in.size(), out.data());
  for (size_t i = 0; i < in.size(); ++i) ASSERT_EQ(out[i], f32_to_f16(in[i])) << in[i];
}

TEST(Numbers, OverflowIsInfiniteAndUnderflowKeepsItsSign) {
  EXPECT_EQ(to_half(CellType::kF16, 65504.0F), 0x7BFF);
  EXPECT_EQ(to_half(CellType::kF16, 65519.0F), 0x7BFF);
  EXPECT_EQ(to_half(CellType::kF16, 65520.0F), 0x7C00);
  EXPECT_EQ(to_half(CellType::kF16, -1e30F), 0xFC00);
  EXPECT_EQ(to_half(CellType::kF16, -0.0F), 0x8000);
  EXPECT_EQ(to_half(CellType::kF16, -1e-10F), 0x8000);
  EXPECT_EQ(to_half(CellType::kF16, 0x1p-25F), 0x0000);
  EXPECT_EQ(to_half(CellType::kF16, 0x1.8p-25F), 0x0001);
  EXPECT_EQ(to_half(CellType::kBf16, 3.4e38F), 0x7F80);
  EXPECT_EQ(to_half(CellType::kBf16, 1.00390625F), 0x3F80) << "a tie goes to even";
  EXPECT_EQ(to_half(CellType::kBf16, 1.01171875F), 0x3F82) << "a tie goes to even";
}

TEST(Numbers, Float32IsCopied) {
  const std::vector<float> in{0.0F, -0.0F, 1e-42F, std::numeric_limits<float>::quiet_NaN(), 3.0F};
  std::vector<float> out(in.size());
  from_floats(CellType::kF32, in.data(), in.size(), out.data());
  EXPECT_EQ(0, std::memcmp(in.data(), out.data(), in.size() * sizeof(float)));
  to_floats(CellType::kF32, in.data(), in.size(), out.data());
  EXPECT_EQ(0, std::memcmp(in.data(), out.data(), in.size() * sizeof(float)));
}

}  // namespace
}  // namespace ebb::kernels
