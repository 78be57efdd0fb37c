#include "tensor/types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "base/error.h"

namespace ebb::tensor {
namespace {

using ::testing::HasSubstr;

TEST(Types, NamesAreThoseOfTheFormat) {
  EXPECT_EQ(type_name(GGML_TYPE_Q4_K), "Q4_K");
  EXPECT_EQ(type_name(GGML_TYPE_BF16), "BF16");
  EXPECT_EQ(type_name(999), "type 999");
  EXPECT_EQ(type_name(-1), "type -1");
  EXPECT_THAT(supported_weight_type_names(), HasSubstr("Q6_K"));
}

TEST(Types, RetiredAndUnknownNumbersAreNotStorable) {
  for (const int64_t type :
       {int64_t{-1}, int64_t{4}, int64_t{5}, int64_t{31}, int64_t{GGML_TYPE_COUNT}, INT64_MAX}) {
    EXPECT_FALSE(is_storable_type(type)) << type;
  }
  EXPECT_TRUE(is_storable_type(GGML_TYPE_IQ2_S));
}

TEST(Types, RowSizesCountWholeBlocks) {
  EXPECT_EQ(row_size_bytes(GGML_TYPE_F32, 7), 28U);
  EXPECT_EQ(row_size_bytes(GGML_TYPE_Q4_0, 64), 36U);
  EXPECT_EQ(row_size_bytes(GGML_TYPE_Q6_K, 256), 210U);
  EXPECT_THROW(row_size_bytes(GGML_TYPE_Q4_0, 33), Error);
  EXPECT_THROW(row_size_bytes(GGML_TYPE_F32, 0), Error);
}

TEST(Types, EverySupportedTypeComesBackAsFloatsWithinItsPrecision) {
  constexpr size_t kLength = 256;
  std::vector<float> numbers(kLength);
  for (size_t i = 0; i < kLength; ++i) numbers[i] = std::sin(static_cast<float>(i) * 0.37F);
  for (const ggml_type type : supported_weight_types()) {
    SCOPED_TRACE(type_name(type));
    std::vector<std::byte> stored(row_size_bytes(type, kLength));
    ggml_quantize_chunk(type, numbers.data(), stored.data(), 0, 1, kLength, nullptr);
    std::vector<float> out(kLength);
    dequantise_row(type, stored.data(), out);
    for (size_t i = 0; i < kLength; ++i) ASSERT_NEAR(out[i], numbers[i], 0.15F) << i;
  }
}

TEST(Types, UnsupportedTypesAreNamedTogetherWithTheSupportedOnes) {
  std::vector<float> out(256);
  const std::vector<std::byte> row(1024);
  try {
    dequantise_row(GGML_TYPE_IQ2_S, row.data(), out);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadModel);
    EXPECT_THAT(error.what(), HasSubstr("found IQ2_S, expected one of F32, F16"));
  }
}

}  // namespace
}  // namespace ebb::tensor
