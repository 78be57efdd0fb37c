// Tiles of a few rows times two groups of 16 outputs, for AVX-512 with VNNI: every activation that
// is loaded serves two products. One group at a time, loads are what such a tile waits for. The
// order of float operations is that of block_tile(): not a bit differs. Included inside a target
// region after linear_avx512.inl.

namespace {

constexpr int kPair = 2;
// With their products' sums these fill the register file.
constexpr int kPairRowsInt15 = 4;
constexpr int kPairRowsInt8 = 6;
constexpr int kPairRowsInTurns = 6;  // half as many sums, but all of a block's weights beside them

// With two scales a block, the sums of high and of low bytes would be put together twice as often.
template <class Act, PackedLayout kLayout>
constexpr bool kInTurns = Act::kMax > 127 && kLayout.n_sub_blocks == 2;

// out[g][r] += the dots over w with the activations that `bytes` gives for a row.
template <int kN, int kRows, class Bytes>
inline void add_pair_products(const __m512i (&w)[kPair][kN], Bytes bytes,
                              __m512i (&out)[kPair][kRows]) {
#pragma GCC unroll 8
  for (int v = 0; v < kN; ++v) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i four = Avx512::broadcast4(bytes(r) + 4 * v);
      out[0][r] = _mm512_dpbusd_epi32(out[0][r], w[0][v], four);
      out[1][r] = _mm512_dpbusd_epi32(out[1][r], w[1][v], four);
    }
  }
}

// Sums of high bytes, shifted, then the low bytes onto the same sums: half as many of them, so
// that there may be more rows.
template <class Act, PackedLayout kLayout, int kFirst, int kLast, int kRows>
inline void dot_pair_in_turns(const uint8_t* const (&quants)[kPair], const Act* const (&x)[kRows],
                              __m512i (&out)[kPair][kRows]) {
  __m512i w[kPair][kLast - kFirst];
#pragma GCC unroll 8
  for (int v = kFirst; v < kLast; ++v) {
    w[0][v - kFirst] = Avx512::vector_at<kLayout.bits>(quants[0], v);
    w[1][v - kFirst] = Avx512::vector_at<kLayout.bits>(quants[1], v);
  }
  for (int g = 0; g < kPair; ++g) Avx512::clear(out[g]);
  add_pair_products(
      w, [&](int r) { return x[r]->high + 4 * kFirst; }, out);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    out[0][r] = _mm512_slli_epi32(out[0][r], 7);
    out[1][r] = _mm512_slli_epi32(out[1][r], 7);
  }
  add_pair_products(
      w, [&](int r) { return x[r]->low + 4 * kFirst; }, out);
}

// Sums of high and of low bytes side by side.
template <class Act, PackedLayout kLayout, int kFirst, int kLast, int kRows>
inline void dot_pair_at_once(const uint8_t* const (&quants)[kPair], const Act* const (&x)[kRows],
                             __m512i (&out)[kPair][kRows]) {
  constexpr bool kHasLow = Act::kMax > 127;
  __m512i low[kPair][kRows];
  for (int g = 0; g < kPair; ++g) {
    Avx512::clear(out[g]);
    Avx512::clear(low[g]);
  }
#pragma GCC unroll 8
  for (int v = kFirst; v < kLast; ++v) {
    const __m512i first = Avx512::vector_at<kLayout.bits>(quants[0], v);
    const __m512i second = Avx512::vector_at<kLayout.bits>(quants[1], v);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i high_bytes = Avx512::broadcast4(x[r]->high + 4 * v);
      out[0][r] = _mm512_dpbusd_epi32(out[0][r], first, high_bytes);
      out[1][r] = _mm512_dpbusd_epi32(out[1][r], second, high_bytes);
      if constexpr (kHasLow) {
        const __m512i low_bytes = Avx512::broadcast4(x[r]->low + 4 * v);
        low[0][r] = _mm512_dpbusd_epi32(low[0][r], first, low_bytes);
        low[1][r] = _mm512_dpbusd_epi32(low[1][r], second, low_bytes);
      }
    }
  }
  if constexpr (kHasLow) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      out[0][r] = _mm512_add_epi32(_mm512_slli_epi32(out[0][r], 7), low[0][r]);
      out[1][r] = _mm512_add_epi32(_mm512_slli_epi32(out[1][r], 7), low[1][r]);
    }
  }
}

// Exact dots over the vectors [kFirst, kLast), zero point taken off.
template <class Act, PackedLayout kLayout, int kFirst, int kLast, int kRows>
inline void dot_pair(const uint8_t* const (&quants)[kPair], const Act* const (&x)[kRows],
                     __m512i (&out)[kPair][kRows]) {
  if constexpr (kInTurns<Act, kLayout>) {
    dot_pair_in_turns<Act, kLayout, kFirst, kLast>(quants, x, out);
  } else {
    dot_pair_at_once<Act, kLayout, kFirst, kLast>(quants, x, out);
  }
  if constexpr (kLayout.zero_point_shift > 0) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int32_t sum = kLast - kFirst == 8 ? x[r]->int_sum : x[r]->half_sum[kFirst / 4];
      const __m512i zero = _mm512_slli_epi32(_mm512_set1_epi32(sum), kLayout.zero_point_shift);
      out[0][r] = _mm512_sub_epi32(out[0][r], zero);
      out[1][r] = _mm512_sub_epi32(out[1][r], zero);
    }
  }
}

// add_block() of both groups.
template <WeightType kType, class Act, int kRows>
inline void add_block_pair(const uint8_t* const (&quants)[kPair],
                           const BlockScales<Avx512> (&scales)[kPair], const Act* const (&x)[kRows],
                           __m512 (&sum)[kPair][kRows]) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  constexpr int kLast = kLayout.n_sub_blocks == 2 ? 4 : 8;
  __m512i dot[kPair][kRows];
  __m512 part[kPair][kRows];
  dot_pair<Act, kLayout, 0, kLast>(quants, x, dot);
#pragma GCC unroll 2
  for (int g = 0; g < kPair; ++g) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      part[g][r] = Avx512::mul(scales[g].scale[0], Avx512::to_float(dot[g][r]));
    }
  }
  if constexpr (kLayout.n_sub_blocks == 2) {
    dot_pair<Act, kLayout, 4, 8>(quants, x, dot);
#pragma GCC unroll 2
    for (int g = 0; g < kPair; ++g) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        part[g][r] = Avx512::fma(scales[g].scale[1], Avx512::to_float(dot[g][r]), part[g][r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m512 x_scale = Avx512::set1(x[r]->scale);
    const __m512 x_sum = Avx512::set1(x[r]->sum);
#pragma GCC unroll 2
    for (int g = 0; g < kPair; ++g) {
      if constexpr (kLayout.has_minimum) {
        part[g][r] = Avx512::fma(scales[g].minimum, x_sum, part[g][r]);
      }
      sum[g][r] = Avx512::fma(part[g][r], x_scale, sum[g][r]);
    }
  }
}

// add_unit() of both groups, whose units begin at unit[g]. n_ahead: bytes to what is wanted after
// them, or 0.
template <WeightType kType, class Act, int kRows>
inline void add_unit_pair(const uint8_t* const (&unit)[kPair], int64_t n_blocks, size_t n_ahead,
                          const Act* (&x)[kRows], __m512 (&sum)[kPair][kRows]) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  __m512 d[kPair];
  __m512 m[kPair];
  const uint8_t* scales[kPair];
  const uint8_t* quants[kPair];
  for (int g = 0; g < kPair; ++g) {
    d[g] = kLayout.is_k_type ? Avx512::load_half(unit[g], 0) : Avx512::zero();
    m[g] = kLayout.is_k_type && kLayout.has_minimum ? Avx512::load_half(unit[g] + 32, 0)
                                                    : Avx512::zero();
    scales[g] = unit[g] + (kLayout.is_k_type ? kLayout.first_scale_bytes() : 0);
    quants[g] = unit[g] + kLayout.unit_scale_bytes(n_blocks);
  }
  for (int64_t b = 0; b < n_blocks; ++b) {
    if (n_ahead > 0) {
      constexpr size_t kBytesPerBlock = kLayout.unit_bytes(kUnitBlocks) / kUnitBlocks;
      for (int g = 0; g < kPair; ++g) {
        const uint8_t* p = unit[g] + n_ahead + static_cast<size_t>(b) * kBytesPerBlock;
#pragma GCC unroll 16
        for (size_t line = 0; line < kBytesPerBlock; line += 64) __builtin_prefetch(p + line);
      }
    }
    const BlockScales<Avx512> vectors[kPair] = {
        load_scales<Avx512, kType>(d[0], m[0], scales[0], 0),
        load_scales<Avx512, kType>(d[1], m[1], scales[1], 0)};
    add_block_pair<kType, Act, kRows>(quants, vectors, x, sum);
    for (int g = 0; g < kPair; ++g) {
      quants[g] += kLayout.quant_bytes();
      scales[g] += kLayout.block_scale_bytes();
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) ++x[r];
  }
}

template <WeightType kType, class Act, int kRows>
void pair_tile(const LinearTile& tile) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  const int64_t n_blocks = tile.n_in / kBlockInputs;
  const Act* x[kRows];
  __m512 sum[kPair][kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = reinterpret_cast<const Act*>(tile.rows + static_cast<size_t>(r) * tile.row_bytes);
    sum[0][r] = Avx512::zero();
    sum[1][r] = Avx512::zero();
  }
  const size_t n_ahead = tile.asks_ahead ? kPair * tile.group_bytes : 0;
  const uint8_t* unit[kPair] = {tile.weights, tile.weights + tile.group_bytes};
  for (int64_t first = 0; first < n_blocks; first += kUnitBlocks) {
    const int64_t left = n_blocks - first;
    const int64_t n = left < kUnitBlocks ? left : int64_t{kUnitBlocks};
    add_unit_pair<kType, Act, kRows>(unit, n, n_ahead, x, sum);
    for (int g = 0; g < kPair; ++g) unit[g] += kLayout.unit_bytes(n);
  }
#pragma GCC unroll 2
  for (int g = 0; g < kPair; ++g) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) Avx512::store(tile.out + (g * kRows + r) * 16, sum[g][r]);
  }
}

template <WeightType kType>
constexpr void add_pairs_of(KernelTable& table) {
  constexpr int kAt = block_type_index(kType);
  constexpr int kRowsInt15 =
      kInTurns<Int15Block, kLayoutOf<kType>> ? kPairRowsInTurns : kPairRowsInt15;
  table.int15_pairs[kAt] = {pair_tile<kType, Int15Block, kRowsInt15>, kRowsInt15};
  table.int8_pairs[kAt] = {pair_tile<kType, Int8Block, kPairRowsInt8>, kPairRowsInt8};
}

constexpr KernelTable with_pairs(KernelTable table) {
  add_pairs_of<WeightType::kQ4_0>(table);
  add_pairs_of<WeightType::kQ4_1>(table);
  add_pairs_of<WeightType::kQ5_0>(table);
  add_pairs_of<WeightType::kQ5_1>(table);
  add_pairs_of<WeightType::kQ8_0>(table);
  add_pairs_of<WeightType::kQ4_K>(table);
  add_pairs_of<WeightType::kQ5_K>(table);
  add_pairs_of<WeightType::kQ6_K>(table);
  return table;
}

}  // namespace
