// Linear kernels for many rows on a matrix unit (AMX): weights become bfloat16 group by group and
// meet all rows before they are forgotten. Included behind immintrin.h and cstring. T is the unit,
// the processor's own or one in plain code for tests, with eight tiles of 16 rows of 64 bytes:
//   configure(); zero<t>(); load<t>(p) and store<t>(p), tiles without gaps;
//   multiply<c, a, b>(): c[m][n] += sum over i, j of a[m][2 i + j] * b[i][2 n + j], a and b of
//   bfloat16, c of float32; release().

#if defined(__clang__)
#pragma clang attribute push(                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma,f16c"))), \
    apply_to = function)
#else
// GCC 12's own intrinsics start from an undefined vector and are then warned about.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma,f16c")
#endif

#include "kernels/linear_avx512.inl"  // NOLINT: the same target

namespace {

// Vector v of a block holds inputs 4v..4v+3 of each output: two rows of a tile of weights.
inline void add_weight_rows(__m512i quants, Avx512::Float scale, Avx512::Float minimum,
                            uint16_t* out) {
  // Two halves of 16 numbers -> pairs.
  const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i byte = _mm512_set1_epi32(255);
  Avx512::Float w[4];
  w[0] = Avx512::to_float(_mm512_and_si512(quants, byte));
  w[1] = Avx512::to_float(_mm512_and_si512(_mm512_srli_epi32(quants, 8), byte));
  w[2] = Avx512::to_float(_mm512_and_si512(_mm512_srli_epi32(quants, 16), byte));
  w[3] = Avx512::to_float(_mm512_srli_epi32(quants, 24));
#pragma GCC unroll 4
  for (Avx512::Float& x : w) x = Avx512::fma(scale, x, minimum);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(w[2 * i + 1], w[2 * i]));
    _mm512_storeu_si512(out + i * 32, _mm512_permutexvar_epi16(pairs, both));
  }
}

template <WeightType kType>
void dequantise_group(const uint8_t* unit, int64_t n_in, uint16_t* out) {
  constexpr PackedLayout kLayout = kLayoutOf<kType>;
  for (int64_t left = n_in / kBlockInputs; left > 0; left -= kUnitBlocks) {
    const int64_t n = left < kUnitBlocks ? left : int64_t{kUnitBlocks};
    const Avx512::Float d = kLayout.is_k_type ? Avx512::load_half(unit, 0) : Avx512::zero();
    const Avx512::Float m =
        kLayout.is_k_type && kLayout.has_minimum ? Avx512::load_half(unit + 32, 0) : Avx512::zero();
    const uint8_t* scales = unit + (kLayout.is_k_type ? kLayout.first_scale_bytes() : 0);
    const uint8_t* quants = unit + kLayout.unit_scale_bytes(n);
    for (int64_t b = 0; b < n; ++b, out += kMatrixBlockNumbers) {
      prefetch<kLayout.unit_bytes(kUnitBlocks) / kUnitBlocks>(quants);
      const Avx512::Quants q = Avx512::unpack<kLayout.bits>(quants, 0);
      const auto vectors = load_scales<Avx512, kType>(d, m, scales, 0);
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) {
        const Avx512::Float scale = vectors.scale[kLayout.n_sub_blocks == 2 && v >= 4 ? 1 : 0];
        const Avx512::Float minimum =
            kLayout.has_minimum
                ? vectors.minimum
                : Avx512::mul(scale, Avx512::set1(-static_cast<float>(kLayout.zero_point())));
        add_weight_rows(q.v[v], scale, minimum, out + v * 64);
      }
      quants += kLayout.quant_bytes();
      scales += kLayout.block_scale_bytes();
    }
    unit += kLayout.unit_bytes(n);
  }
}

inline void round_block(const float* x, uint16_t* out) {
  _mm512_storeu_si512(out, reinterpret_cast<__m512i>(
                               _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x))));
}

// Tiles 0..3 are sums (rows 2 x groups 2), 4 and 5 rows, 6 and 7 weights.
template <class T, int kGroups>
void multiply_groups(const MatrixTile& tile) {
  T::template zero<0>();
  T::template zero<1>();
  T::template zero<2>();
  T::template zero<3>();
  for (int64_t b = 0; b < tile.n_blocks; ++b) {
    const int64_t at = b * kMatrixBlockNumbers;
    T::template load<6>(tile.weights[0] + at);
    T::template load<4>(tile.rows[0] + at);
    T::template multiply<0, 4, 6>();
    T::template load<5>(tile.rows[1] + at);
    T::template multiply<1, 5, 6>();
    if constexpr (kGroups == 2) {
      T::template load<7>(tile.weights[1] + at);
      T::template multiply<2, 4, 7>();
      T::template multiply<3, 5, 7>();
    }
  }
  T::template store<0>(tile.out);
  T::template store<1>(tile.out + 256);
  if constexpr (kGroups == 2) {
    T::template store<2>(tile.out + 512);
    T::template store<3>(tile.out + 768);
  }
}

template <class T>
void multiply_on(const MatrixTile& tile) {
  if (tile.weights[1] != nullptr) return multiply_groups<T, 2>(tile);
  multiply_groups<T, 1>(tile);
}

template <class T>
constexpr MatrixKernels make_matrix_kernels() {
  return {.round_block = round_block,
          .dequantise = {dequantise_group<WeightType::kQ4_0>, dequantise_group<WeightType::kQ4_1>,
                         dequantise_group<WeightType::kQ5_0>, dequantise_group<WeightType::kQ5_1>,
                         dequantise_group<WeightType::kQ8_0>, dequantise_group<WeightType::kQ4_K>,
                         dequantise_group<WeightType::kQ5_K>, dequantise_group<WeightType::kQ6_K>},
          .multiply = multiply_on<T>,
          .begin = T::configure,
          .end = T::release};
}

}  // namespace

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
