// Repacking: file rows -> groups of 16 interleaved outputs (see packed_layout.h).
// Outputs beyond n_out in the last group have all-zero scales, so they compute to zero.
#include "kernels/packed_weight.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/platform.h"
#include "kernels/packed_block.h"
#include "kernels/packed_layout.h"

namespace ebb::kernels {
namespace {

constexpr size_t kHugePage = size_t{2} << 20U;

struct Source {
  WeightType type;
  const uint8_t* data;
  int64_t n_in;
  int64_t n_out;

  size_t row_bytes() const {
    return static_cast<size_t>(n_in / block_elements(type)) * block_bytes(type);
  }
  const uint8_t* row(int64_t output) const {
    return data + static_cast<size_t>(output) * row_bytes();
  }
};

// Byte of input k (0..31) of output n within a block of byte vectors.
size_t vector_byte(int k, int n) { return static_cast<size_t>((k / 4) * 64 + n * 4 + k % 4); }

// Writes 32 integers of output n into the planes of one block, which start out zero.
void pack_quants(int bits, const uint8_t* q, int n, uint8_t* block) {
  for (int k = 0; k < kBlockInputs; ++k) {
    const size_t at = vector_byte(k, n);
    if (bits == 8) {
      block[at] = q[k];
      continue;
    }
    const auto nibble = static_cast<unsigned>(q[k] & 15U);
    block[at % 256] = static_cast<uint8_t>(block[at % 256] | (k < 16 ? nibble : nibble << 4U));
    const auto top = static_cast<unsigned>(q[k] >> 4U);
    if (bits == 5) {
      uint8_t& plane = block[256 + at / 8];
      plane = static_cast<uint8_t>(plane | (top << (at % 8)));
    } else if (bits == 6) {
      uint8_t& plane = block[256 + static_cast<size_t>(k / 16) * 64 + at % 64];
      plane = static_cast<uint8_t>(plane | (top << (2 * (k / 4 % 4))));
    }
  }
}

void store_half(uint8_t* scales, int n, uint16_t value) {
  std::memcpy(scales + static_cast<size_t>(n) * 2, &value, sizeof value);
}

// Writes the scales of output n for one unit of a K type.
void pack_k_scales(const PackedLayout& layout, const RawBlock& raw, int n, uint8_t* scales) {
  store_half(scales, n, raw.d);
  if (layout.has_minimum) {
    store_half(scales + 32, n, raw.m);
  }
  uint8_t* at = scales + layout.first_scale_bytes() + n;
  for (int b = 0; b < kUnitBlocks; ++b) {
    for (int s = 0; s < layout.n_sub_blocks; ++s, at += 16) {
      *at = raw.scale[b * layout.n_sub_blocks + s];
    }
    if (layout.has_minimum) {
      *at = raw.minimum[b];
      at += 16;
    }
  }
}

// Output n of one unit: `row` points at the unit's first block in the file.
void pack_unit(WeightType type, const uint8_t* row, int64_t n_blocks, int n, uint8_t* unit) {
  const PackedLayout layout = packed_layout(type);
  uint8_t* quants = unit + layout.unit_scale_bytes(n_blocks);
  RawBlock raw;
  if (layout.is_k_type) {
    read_block(type, row, raw);
    pack_k_scales(layout, raw, n, unit);
    for (int b = 0; b < kUnitBlocks; ++b, quants += layout.quant_bytes()) {
      pack_quants(layout.bits, raw.q + b * kBlockInputs, n, quants);
    }
    return;
  }
  for (int64_t b = 0; b < n_blocks; ++b, quants += layout.quant_bytes()) {
    read_block(type, row + static_cast<size_t>(b) * block_bytes(type), raw);
    uint8_t* scales = unit + static_cast<size_t>(b) * layout.block_scale_bytes();
    store_half(scales, n, raw.d);
    if (layout.has_minimum) {
      store_half(scales + 32, n, raw.m);
    }
    pack_quants(layout.bits, raw.q, n, quants);
  }
}

void pack_block_group(const Source& source, int64_t group, uint8_t* out) {
  constexpr int64_t kUnitInputs = kUnitBlocks * kBlockInputs;
  const PackedLayout layout = packed_layout(source.type);
  const auto file_unit_bytes =
      static_cast<size_t>(kUnitInputs / block_elements(source.type)) * block_bytes(source.type);
  for (int n = 0; n < kGroupOutputs && group * kGroupOutputs + n < source.n_out; ++n) {
    const uint8_t* row = source.row(group * kGroupOutputs + n);
    uint8_t* unit = out;
    for (int64_t first = 0; first < source.n_in; first += kUnitInputs) {
      const int64_t n_blocks = std::min(kUnitInputs, source.n_in - first) / kBlockInputs;
      pack_unit(source.type, row, n_blocks, n, unit);
      row += file_unit_bytes;
      unit += layout.unit_bytes(n_blocks);
    }
  }
}

// Float weights: [16 outputs, n_in] in their own type.
void pack_float_group(const Source& source, int64_t group, uint8_t* out) {
  const size_t size = block_bytes(source.type);
  const int64_t n_valid = std::min<int64_t>(kGroupOutputs, source.n_out - group * kGroupOutputs);
  for (int64_t n = 0; n < n_valid; ++n) {
    const uint8_t* row = source.row(group * kGroupOutputs + n);
    for (int64_t k = 0; k < source.n_in; ++k) {
      std::memcpy(out + static_cast<size_t>(k * kGroupOutputs + n) * size,
                  row + static_cast<size_t>(k) * size, size);
    }
  }
}

void pack_reference_group(const Source& source, int64_t group, uint8_t* out) {
  constexpr int64_t kRun = 256;  // whole blocks of every type
  float values[kRun];
  for (int64_t n = 0; n < kGroupOutputs && group * kGroupOutputs + n < source.n_out; ++n) {
    const uint8_t* row = source.row(group * kGroupOutputs + n);
    for (int64_t first = 0; first < source.n_in; first += kRun) {
      const int64_t count = std::min(kRun, source.n_in - first);
      const auto skipped = static_cast<size_t>(first / block_elements(source.type));
      dequantise_row(source.type, row + skipped * block_bytes(source.type), count, values);
      for (int64_t k = 0; k < count; ++k) {
        std::memcpy(out + static_cast<size_t>((first + k) * kGroupOutputs + n) * sizeof(float),
                    &values[k], sizeof(float));
      }
    }
  }
}

using PackGroup = void (*)(const Source&, int64_t, uint8_t*);

PackGroup packer_of(WeightType type, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kReference) {
    return pack_reference_group;
  }
  return is_block_quantised(type) ? pack_block_group : pack_float_group;
}

size_t group_bytes_of(WeightType stored, int64_t n_in) {
  if (is_block_quantised(stored)) {
    return packed_layout(stored).group_bytes(n_in / kBlockInputs);
  }
  const size_t size = static_cast<size_t>(n_in) * kGroupOutputs * block_bytes(stored);
  return (size + 63) / 64 * 64;
}

std::byte* allocate_zeroed(size_t size) {
  const size_t alignment = size >= kHugePage ? kHugePage : 64;
  void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (p == nullptr) {
    throw Error::make(ErrorKind::kOutOfMemory, "packing weights: no memory for {} bytes", size);
  }
  // Only advice: streaming 4 KiB pages costs a TLB miss every few hundred cycles.
  if (alignment == kHugePage) platform::advise_huge_pages(p, size);
  std::memset(p, 0, size);
  return static_cast<std::byte*>(p);
}

// Runs share(0..n-1), on threads of its own when there is more than one.
template <typename Share>
void run_shares(int n, const Share& share) {
  std::vector<std::jthread> threads;
  for (int t = 1; t < n; ++t) {
    threads.emplace_back([&share, t] { share(t); });
  }
  share(0);
}

}  // namespace

PackedWeight PackedWeight::pack(WeightType type, const void* data, int64_t n_in, int64_t n_out,
                                Arithmetic arithmetic, int n_threads) {
  if (n_in <= 0 || n_out <= 0 || n_in % block_elements(type) != 0) {
    throw Error::make(ErrorKind::kBadModel,
                      "packing a {} weight: found {} inputs and {} outputs, expected at least one "
                      "of each and inputs in blocks of {}",
                      name_of(type), n_in, n_out, block_elements(type));
  }
  EBB_CHECK(data != nullptr && n_threads >= 1);
  PackedWeight packed;
  packed.type_ = type;
  packed.arithmetic_ = arithmetic;
  packed.n_in_ = n_in;
  packed.n_out_ = n_out;
  packed.group_bytes_ = group_bytes_of(packed.stored_type(), n_in);
  packed.data_.reset(allocate_zeroed(packed.size_bytes()));

  const Source source{type, static_cast<const uint8_t*>(data), n_in, n_out};
  const PackGroup pack_group = packer_of(type, arithmetic);
  const int64_t n_groups = packed.n_groups();
  auto* out = reinterpret_cast<uint8_t*>(packed.data_.get());
  const int n_shares = static_cast<int>(std::min<int64_t>(n_threads, n_groups));
  run_shares(n_shares, [&](int t) {
    for (int64_t g = n_groups * t / n_shares; g < n_groups * (t + 1) / n_shares; ++g) {
      pack_group(source, g, out + static_cast<size_t>(g) * packed.group_bytes_);
    }
  });
  return packed;
}

}  // namespace ebb::kernels
