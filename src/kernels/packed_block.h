// Reads the block formats of GGUF files: integers and scales exactly as stored, or dequantised.
// Knows nothing of tensors or files; a block is a pointer to its bytes.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/weight_type.h"

namespace ebb::kernels {

// IEEE binary16 to float32, exact (NaN payloads aside).
inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16U;
  const uint32_t exponent = (half >> 10U) & 0x1FU;
  const uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t rebased = exponent == 31 ? 0xFFU : exponent + 112U;
  return std::bit_cast<float>(sign | (rebased << 23U) | (mantissa << 13U));
}

inline float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U);
}

// One block's numbers before any arithmetic. An element is d * scale * (q - zero point) + minimum,
// see packed_layout.h for the zero points.
struct RawBlock {
  uint8_t q[256];      // non-negative: stored integer plus the zero point of its type
  uint16_t d = 0;      // binary16 scale
  uint16_t m = 0;      // binary16 minimum as it is added (K types: sign flipped), 0 where none
  uint8_t scale[16];   // K types: per 32 (Q6_K: per 16, as int8) elements
  uint8_t minimum[8];  // K types with minimum: per 32 elements
};

// Requires: is_block_quantised(type).
void read_block(WeightType type, const void* block, RawBlock& out);

// Writes n elements of a row of `type` as float32, with the same float operations as ggml.
// Requires: n a multiple of block_elements(type).
void dequantise_row(WeightType type, const void* row, int64_t n, float* out);

}  // namespace ebb::kernels
