// Block formats of GGUF files, read into plain integers and scales. Every type is unpacked by hand
// from its published layout; nothing here depends on the processor.
#include "kernels/packed_block.h"

#include <cstring>

#include "kernels/packed_layout.h"

namespace ebb::kernels {
namespace {

uint16_t load_u16(const uint8_t* p) {
  uint16_t value = 0;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// 32 nibbles: the low halves of 16 bytes are elements 0..15, the high halves 16..31.
void read_nibbles_32(const uint8_t* bytes, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = bytes[i] & 15U;
    q[16 + i] = static_cast<uint8_t>(bytes[i] >> 4U);
  }
}

// Q5_0 and Q5_1 keep bit 4 of element i as bit i of one 32-bit word.
void add_fifth_bits_32(const uint8_t* word, uint8_t* q) {
  uint32_t bits = 0;
  std::memcpy(&bits, word, sizeof bits);
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<uint8_t>(q[i] | (((bits >> i) & 1U) << 4U));
  }
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each have their own
// bytes, whose top two bits hold the top bits of the last four.
void read_k_scales(const uint8_t* bytes, RawBlock& out) {
  for (int j = 0; j < 4; ++j) {
    out.scale[j] = bytes[j] & 63U;
    out.minimum[j] = bytes[j + 4] & 63U;
    out.scale[j + 4] = static_cast<uint8_t>((bytes[j + 8] & 15U) | ((bytes[j] >> 6U) << 4U));
    out.minimum[j + 4] = static_cast<uint8_t>((bytes[j + 8] >> 4U) | ((bytes[j + 4] >> 6U) << 4U));
  }
}

// Q4_K and Q5_K: d, dmin, scales, [fifth bits], nibbles; 32 bytes of nibbles hold two runs of 32.
void read_k_min_block(bool has_fifth_bit, const uint8_t* p, RawBlock& out) {
  out.d = load_u16(p);
  out.m = load_u16(p + 2) ^ 0x8000U;
  read_k_scales(p + 4, out);
  const uint8_t* fifth = p + 16;
  const uint8_t* nibbles = p + (has_fifth_bit ? 48 : 16);
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      const uint8_t byte = nibbles[pair * 32 + i];
      uint32_t low = byte & 15U;
      uint32_t high = byte >> 4U;
      if (has_fifth_bit) {
        low |= ((static_cast<uint32_t>(fifth[i]) >> (2 * pair)) & 1U) << 4U;
        high |= ((static_cast<uint32_t>(fifth[i]) >> (2 * pair + 1)) & 1U) << 4U;
      }
      out.q[pair * 64 + i] = static_cast<uint8_t>(low);
      out.q[pair * 64 + 32 + i] = static_cast<uint8_t>(high);
    }
  }
}

// Q6_K: 128 B of low nibbles, 64 B of high bit pairs, 16 int8 scales, d. Each half of 128 elements
// spreads its four runs of 32 over two nibble rows and one row of pairs.
void read_q6_k(const uint8_t* p, RawBlock& out) {
  const uint8_t* low = p;
  const uint8_t* high = p + 128;
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 32; ++i) {
      for (int run = 0; run < 4; ++run) {
        const uint32_t byte = low[half * 64 + (run % 2) * 32 + i];
        const uint32_t nibble = run < 2 ? byte & 15U : byte >> 4U;
        const uint32_t pair = (static_cast<uint32_t>(high[half * 32 + i]) >> (2 * run)) & 3U;
        out.q[half * 128 + run * 32 + i] = static_cast<uint8_t>(nibble | (pair << 4U));
      }
    }
  }
  std::memcpy(out.scale, p + 192, 16);
  out.d = load_u16(p + 208);
  out.m = 0;
}

void read_small_block(WeightType type, const uint8_t* p, RawBlock& out) {
  out.d = load_u16(p);
  const bool has_minimum = type == WeightType::kQ4_1 || type == WeightType::kQ5_1;
  out.m = has_minimum ? load_u16(p + 2) : uint16_t{0};
  const uint8_t* rest = p + (has_minimum ? 4 : 2);
  if (type == WeightType::kQ8_0) {
    for (int i = 0; i < 32; ++i) {
      out.q[i] = rest[i] ^ 0x80U;  // int8 + 128
    }
    return;
  }
  const bool has_fifth_bit = type == WeightType::kQ5_0 || type == WeightType::kQ5_1;
  read_nibbles_32(rest + (has_fifth_bit ? 4 : 0), out.q);
  if (has_fifth_bit) {
    add_fifth_bits_32(rest, out.q);
  }
}

void dequantise_block(WeightType type, const RawBlock& raw, float* out) {
  const PackedLayout layout = packed_layout(type);
  const float d = half_to_float(raw.d);
  const float m = half_to_float(raw.m);
  const int run = kBlockInputs / layout.n_sub_blocks;
  for (int i = 0; i < block_elements(type); ++i) {
    const auto q = static_cast<float>(raw.q[i] - layout.zero_point());
    float scale = d;
    float minimum = m;
    if (layout.is_k_type) {
      const uint8_t bits = raw.scale[i / run];
      const int factor = layout.n_sub_blocks == 2 ? static_cast<int8_t>(bits) : bits;
      scale = d * static_cast<float>(factor);
      minimum = layout.has_minimum ? m * static_cast<float>(raw.minimum[i / 32]) : 0.0F;
    }
    out[i] = layout.has_minimum ? scale * q + minimum : scale * q;
  }
}

}  // namespace

void read_block(WeightType type, const void* block, RawBlock& out) {
  const auto* p = static_cast<const uint8_t*>(block);
  switch (type) {
    case WeightType::kQ4_K:
      return read_k_min_block(false, p, out);
    case WeightType::kQ5_K:
      return read_k_min_block(true, p, out);
    case WeightType::kQ6_K:
      return read_q6_k(p, out);
    default:
      return read_small_block(type, p, out);
  }
}

void dequantise_row(WeightType type, const void* row, int64_t n, float* out) {
  const auto* p = static_cast<const uint8_t*>(row);
  if (type == WeightType::kF32) {
    std::memcpy(out, p, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  if (!is_block_quantised(type)) {
    for (int64_t i = 0; i < n; ++i) {
      const uint16_t bits = load_u16(p + 2 * i);
      out[i] = type == WeightType::kF16 ? half_to_float(bits) : bf16_to_float(bits);
    }
    return;
  }
  RawBlock raw;
  for (int64_t i = 0; i < n; i += block_elements(type), p += block_bytes(type)) {
    read_block(type, p, raw);
    dequantise_block(type, raw, out + i);
  }
}

}  // namespace ebb::kernels
