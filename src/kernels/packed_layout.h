// How a block-quantised weight lies in memory after repacking: groups of 16 outputs, interleaved so
// that one 64-byte vector holds four consecutive inputs of each output.
//
// A group is one stream of units of 8 blocks (32 inputs x 16 outputs each; the last unit may have
// fewer): the unit's scales, padded to 64 bytes, then its integer blocks. One stream, because
// memory is read ahead by address. Integer blocks:
//   low nibbles   256 B: vector i (0..3) holds inputs 4i..4i+3 in the low and 16+4i.. in the high
//   half bit plane      64 B (5-bit types): bit j of word v is bit 4 of byte j of vector v (0..7)
//   pair plane    128 B (6-bit types): bits 2i,2i+1 of byte j of vector h belong to vector 4h+i
//   bytes         512 B (8-bit types): vectors 0..7
// Scales: [d f16 x 16][m f16 x 16] per block; K types once per unit and then per block
//   [scale u8/i8 x 16 x sub-blocks][minimum u8 x 16]
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/weight_type.h"

namespace ebb::kernels {

inline constexpr int kGroupOutputs = 16;
inline constexpr int kBlockInputs = 32;
inline constexpr int kUnitBlocks = 8;

struct PackedLayout {
  int bits = 0;
  int zero_point_shift = 0;  // q - (1 << shift); 0 = unsigned with a minimum
  bool has_minimum = false;
  bool is_k_type = false;  // two-level scales
  int n_sub_blocks = 1;    // scales per 32 inputs

  constexpr int zero_point() const { return zero_point_shift == 0 ? 0 : 1 << zero_point_shift; }
  constexpr size_t quant_bytes() const { return static_cast<size_t>(bits) * 64; }  // per block
  constexpr size_t first_scale_bytes() const { return has_minimum ? 64 : 32; }
  constexpr size_t block_scale_bytes() const {  // what one block adds to its unit's scales
    return is_k_type ? static_cast<size_t>(n_sub_blocks + (has_minimum ? 1 : 0)) * 16
                     : first_scale_bytes();
  }
  // Of a unit with n blocks.
  constexpr size_t unit_scale_bytes(int64_t n) const {
    const size_t size =
        (is_k_type ? first_scale_bytes() : 0) + static_cast<size_t>(n) * block_scale_bytes();
    return (size + 63) / 64 * 64;
  }
  constexpr size_t unit_bytes(int64_t n) const {
    return n == 0 ? 0 : unit_scale_bytes(n) + static_cast<size_t>(n) * quant_bytes();
  }
  constexpr size_t group_bytes(int64_t n_blocks) const {
    return static_cast<size_t>(n_blocks / kUnitBlocks) * unit_bytes(kUnitBlocks) +
           unit_bytes(n_blocks % kUnitBlocks);
  }
};

constexpr PackedLayout packed_layout(WeightType type) {
  switch (type) {
    case WeightType::kQ4_0:
      return {.bits = 4, .zero_point_shift = 3};
    case WeightType::kQ4_1:
      return {.bits = 4, .has_minimum = true};
    case WeightType::kQ5_0:
      return {.bits = 5, .zero_point_shift = 4};
    case WeightType::kQ5_1:
      return {.bits = 5, .has_minimum = true};
    case WeightType::kQ8_0:
      return {.bits = 8, .zero_point_shift = 7};
    case WeightType::kQ4_K:
      return {.bits = 4, .has_minimum = true, .is_k_type = true};
    case WeightType::kQ5_K:
      return {.bits = 5, .has_minimum = true, .is_k_type = true};
    case WeightType::kQ6_K:
      return {.bits = 6, .zero_point_shift = 5, .is_k_type = true, .n_sub_blocks = 2};
    default:
      return {};
  }
}

}  // namespace ebb::kernels
