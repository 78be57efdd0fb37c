// The weight types that the linear layers read, and the sizes of their file blocks.
// A mirror of the GGUF types without ggml: kernels see only bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ebb::kernels {

enum class WeightType : uint8_t {
  kF32,
  kF16,
  kBf16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K
};
inline constexpr int kNumWeightTypes = 11;

// How a product is computed; see linear.h for what each promises.
enum class Arithmetic : uint8_t { kReference, kStrict, kFast, kFastFine };

constexpr bool is_block_quantised(WeightType type) { return type >= WeightType::kQ4_0; }

// Elements in one block of the file.
constexpr int block_elements(WeightType type) {
  if (!is_block_quantised(type)) {
    return 1;
  }
  return type >= WeightType::kQ4_K ? 256 : 32;
}

// Bytes of one block in the file.
constexpr size_t block_bytes(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return 4;
    case WeightType::kF16:
    case WeightType::kBf16:
      return 2;
    case WeightType::kQ4_0:
      return 18;
    case WeightType::kQ4_1:
      return 20;
    case WeightType::kQ5_0:
      return 22;
    case WeightType::kQ5_1:
      return 24;
    case WeightType::kQ8_0:
      return 34;
    case WeightType::kQ4_K:
      return 144;
    case WeightType::kQ5_K:
      return 176;
    case WeightType::kQ6_K:
      return 210;
  }
  return 0;
}

constexpr std::string_view name_of(WeightType type) {
  constexpr std::string_view kNames[kNumWeightTypes] = {
      "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};
  return kNames[static_cast<size_t>(type)];
}

}  // namespace ebb::kernels
