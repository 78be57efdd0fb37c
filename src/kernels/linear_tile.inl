// The linear kernels, written once over a vector class V. Each linear_<isa>.cpp includes this file
// inside its target region and gives a V with:
//   kLanes (16, or 8: a group is done in two halves), kMaxRows, kMaxGroups; types Float, Int,
//   Quants; zero(), set1(f), mul, store(p, v), to_float(Int), fma(a, b, c) = a * b + c rounded
//   once; load_half, load_bf16, load_float, load_u8, load_i8: (p, half) -> Float;
//   unpack<bits>(block, half) -> Quants; dot<Act, layout, first, last>(quants, rows, out), exact;
//   max_magnitude_bits(x): the greatest |x| of 32 as ordered bits, where a NaN is above an infinity
//   and that above every number; round_to_bytes(x, lift, inverse, act): the integers nearest to
//   (x * lift) * inverse, ties to even, into act's bytes and half sums.
// The order of float operations is fixed here; integers are exact, so every V gives the same bits.
// Everything has internal linkage: these functions must never be shared between instruction sets.

namespace {

template <WeightType kType>
constexpr PackedLayout kLayoutOf = packed_layout(kType);

// Scale vectors of one block: element = scale[s] * (q - zero point) + minimum.
template <class V>
struct BlockScales {
  typename V::Float scale[2];
  typename V::Float minimum;
};

// `p` points at one block's scales; of K types d and m are the first level, read once a unit.
template <class V, WeightType kType>
BlockScales<V> load_scales(typename V::Float d, typename V::Float m, const uint8_t* p, int half) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  BlockScales<V> scales{{d, d}, m};
  if constexpr (!kLayout.is_k_type) {
    scales.scale[0] = V::load_half(p, half);
    scales.minimum = kLayout.has_minimum ? V::load_half(p + 32, half) : m;
  }
  if constexpr (kLayout.is_k_type && kLayout.n_sub_blocks == 2) {
    scales.scale[0] = V::mul(d, V::load_i8(p, half));
    scales.scale[1] = V::mul(d, V::load_i8(p + 16, half));
  } else if constexpr (kLayout.is_k_type) {
    scales.scale[0] = V::mul(d, V::load_u8(p, half));
    scales.minimum = V::mul(m, V::load_u8(p + 16, half));
  }
  return scales;
}

// sum[r] += x_scale * (scale * dot + minimum * x_sum) for every row.
template <class V, WeightType kType, class Act, int kRows>
inline void add_block(const typename V::Quants& quants, const BlockScales<V>& scales,
                      const Act* const (&x)[kRows], typename V::Float (&sum)[kRows]) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  typename V::Int dot[kRows];
  typename V::Float part[kRows];
  constexpr int kLast = kLayout.n_sub_blocks == 2 ? 4 : 8;
  V::template dot<Act, kLayout, 0, kLast>(quants, x, dot);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    part[r] = V::mul(scales.scale[0], V::to_float(dot[r]));
  }
  if constexpr (kLayout.n_sub_blocks == 2) {
    V::template dot<Act, kLayout, 4, 8>(quants, x, dot);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      part[r] = V::fma(scales.scale[1], V::to_float(dot[r]), part[r]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    if constexpr (kLayout.has_minimum) {
      part[r] = V::fma(scales.minimum, V::set1(x[r]->sum), part[r]);
    }
    sum[r] = V::fma(part[r], V::set1(x[r]->scale), sum[r]);
  }
}

// Hardware prefetchers stop at page borders, and a group is only a few pages. The distance covers
// a main memory access; beyond a group's end lies the next group, which is wanted soon.
constexpr size_t kBytesAhead = 6144;

template <size_t kBytes>
inline void prefetch(const uint8_t* p) {
#pragma GCC unroll 16
  for (size_t line = 0; line < kBytes; line += 64) {
    __builtin_prefetch(p + kBytesAhead + line);
  }
}

// Adds the n_blocks blocks of one unit and moves x past them.
template <class V, WeightType kType, class Act, int kRows>
inline void add_unit(const uint8_t* unit, int64_t n_blocks, int half, const Act* (&x)[kRows],
                     typename V::Float (&sum)[kRows]) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  constexpr size_t kBytesPerBlock = kLayout.unit_bytes(kUnitBlocks) / kUnitBlocks;
  const typename V::Float d = kLayout.is_k_type ? V::load_half(unit, half) : V::zero();
  const typename V::Float m =
      kLayout.is_k_type && kLayout.has_minimum ? V::load_half(unit + 32, half) : V::zero();
  const uint8_t* scales = unit + (kLayout.is_k_type ? kLayout.first_scale_bytes() : 0);
  const uint8_t* quants = unit + kLayout.unit_scale_bytes(n_blocks);
  for (int64_t b = 0; b < n_blocks; ++b) {
    prefetch<kBytesPerBlock>(unit + static_cast<size_t>(b) * kBytesPerBlock);
    const auto unpacked = V::template unpack<kLayout.bits>(quants, half);
    const auto vectors = load_scales<V, kType>(d, m, scales, half);
    add_block<V, kType, Act, kRows>(unpacked, vectors, x, sum);
    quants += kLayout.quant_bytes();
    scales += kLayout.block_scale_bytes();
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      ++x[r];
    }
  }
}

template <class V, WeightType kType, class Act, int kRows>
void block_tile(const LinearTile& tile) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  const int64_t n_blocks = tile.n_in / kBlockInputs;
  for (int half = 0; half < 16 / V::kLanes; ++half) {
    const Act* x[kRows];
    typename V::Float sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      x[r] = reinterpret_cast<const Act*>(tile.rows + static_cast<size_t>(r) * tile.row_bytes);
      sum[r] = V::zero();
    }
    const uint8_t* unit = tile.weights;
    for (int64_t first = 0; first < n_blocks; first += kUnitBlocks) {
      const int64_t left = n_blocks - first;
      const int64_t n = left < kUnitBlocks ? left : int64_t{kUnitBlocks};
      add_unit<V, kType, Act, kRows>(unit, n, half, x, sum);
      unit += kLayout.unit_bytes(n);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      V::store(tile.out + r * 16 + half * V::kLanes, sum[r]);
    }
  }
}

template <class V, WeightType kType>
typename V::Float load_float_weights(const uint8_t* p, int half) {
  if constexpr (kType == WeightType::kF32) {
    return V::load_float(p, half);
  } else if constexpr (kType == WeightType::kF16) {
    return V::load_half(p, half);
  } else {
    return V::load_bf16(p, half);
  }
}

// One fused multiply-add chain per output, inputs in order.
template <class V, WeightType kType, int kRows, int kGroups>
void float_tile(const LinearTile& tile) {
  constexpr size_t kStep = 16 * block_bytes(kType);
  for (int half = 0; half < 16 / V::kLanes; ++half) {
    const float* x[kRows];
    typename V::Float sum[kGroups][kRows];
    for (int r = 0; r < kRows; ++r) {
      // Rows of floats, passed as bytes because other forms are not.
      // cppcheck-suppress invalidPointerCast
      x[r] = reinterpret_cast<const float*>(tile.rows + static_cast<size_t>(r) * tile.row_bytes);
      for (int g = 0; g < kGroups; ++g) {
        sum[g][r] = V::zero();
      }
    }
    const uint8_t* weights = tile.weights;
    for (int64_t k = 0; k < tile.n_in; ++k, weights += kStep) {
      typename V::Float w[kGroups];
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        __builtin_prefetch(weights + static_cast<size_t>(g) * tile.group_bytes + kBytesAhead);
        w[g] =
            load_float_weights<V, kType>(weights + static_cast<size_t>(g) * tile.group_bytes, half);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const typename V::Float value = V::set1(x[r][k]);
#pragma GCC unroll 4
        for (int g = 0; g < kGroups; ++g) {
          sum[g][r] = V::fma(w[g], value, sum[g][r]);
        }
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      for (int r = 0; r < kRows; ++r) {
        V::store(tile.out + (g * kRows + r) * 16 + half * V::kLanes, sum[g][r]);
      }
    }
  }
}

template <class V, class Act>
void quantise_block(const float* x, Act& out) {
  constexpr float kMax = static_cast<float>(Act::kMax);
  constexpr float kLift = 0x1p100F;
  const uint32_t bits = V::max_magnitude_bits(x);
  float max = 0.0F;
  std::memcpy(&max, &bits, sizeof max);
  if (bits == 0 || bits >= 0x7F800000U) {  // all zero; or a NaN or an infinity, which must be seen
    const uint32_t nan_bits = 0x7FC00000U;
    std::memset(&out, 0, sizeof out);
    std::memcpy(&out.scale, bits == 0 ? &bits : &nan_bits, sizeof nan_bits);
    return;
  }
  // A tiny maximum would make the reciprocal overflow: such a block is lifted first.
  const float lift = max < 1.0F / kLift ? kLift : 1.0F;
  V::round_to_bytes(x, lift, kMax / (max * lift), out);
  out.scale = max / kMax;
  out.int_sum = out.half_sum[0] + out.half_sum[1];
  out.sum = static_cast<float>(out.int_sum);
}

template <class V, class Act>
void quantise_blocks(const float* x, int64_t n_blocks, void* out) {
  auto* blocks = static_cast<Act*>(out);
  for (int64_t b = 0; b < n_blocks; ++b) {
    quantise_block<V>(x + b * 32, blocks[b]);
  }
}

template <class V, WeightType kType, int kRows>
constexpr void add_block_functions(KernelTable& table) {
  if constexpr (kRows <= V::kMaxRows) {
    constexpr int kAt = block_type_index(kType);
    table.int15[kAt][kRows] = block_tile<V, kType, Int15Block, kRows>;
    table.int8[kAt][kRows] = block_tile<V, kType, Int8Block, kRows>;
  }
}

template <class V, WeightType kType>
constexpr void add_block_type(KernelTable& table) {
  add_block_functions<V, kType, 1>(table);
  add_block_functions<V, kType, 2>(table);
  add_block_functions<V, kType, 3>(table);
  add_block_functions<V, kType, 4>(table);
  add_block_functions<V, kType, 5>(table);
  add_block_functions<V, kType, 6>(table);
  add_block_functions<V, kType, 7>(table);
  add_block_functions<V, kType, 8>(table);
}

template <class V, WeightType kType, int kRows, int kGroups>
constexpr void add_float_functions(KernelTable& table) {
  if constexpr (kRows <= V::kMaxRows && kGroups <= V::kMaxGroups) {
    table.float32[static_cast<int>(kType)][kRows][1] = float_tile<V, kType, kRows, 1>;
    table.float32[static_cast<int>(kType)][kRows][kGroups] = float_tile<V, kType, kRows, kGroups>;
  }
}

template <class V, WeightType kType>
constexpr void add_float_type(KernelTable& table) {
  add_float_functions<V, kType, 1, 1>(table);
  add_float_functions<V, kType, 1, 4>(table);
  add_float_functions<V, kType, 2, 1>(table);
  add_float_functions<V, kType, 2, 4>(table);
  add_float_functions<V, kType, 4, 1>(table);
  add_float_functions<V, kType, 4, 2>(table);
  add_float_functions<V, kType, 8, 1>(table);
  add_float_functions<V, kType, 8, 2>(table);
}

template <class V>
constexpr KernelTable make_kernel_table() {
  KernelTable table{};
  add_float_type<V, WeightType::kF32>(table);
  add_float_type<V, WeightType::kF16>(table);
  add_float_type<V, WeightType::kBf16>(table);
  add_block_type<V, WeightType::kQ4_0>(table);
  add_block_type<V, WeightType::kQ4_1>(table);
  add_block_type<V, WeightType::kQ5_0>(table);
  add_block_type<V, WeightType::kQ5_1>(table);
  add_block_type<V, WeightType::kQ8_0>(table);
  add_block_type<V, WeightType::kQ4_K>(table);
  add_block_type<V, WeightType::kQ5_K>(table);
  add_block_type<V, WeightType::kQ6_K>(table);
  table.quantise_int15 = quantise_blocks<V, Int15Block>;
  table.quantise_int8 = quantise_blocks<V, Int8Block>;
  return table;
}

}  // namespace
