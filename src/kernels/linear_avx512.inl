// The vector class of AVX-512 with VNNI: one vector is a whole group of 16 outputs. Included inside
// a target region by files whose kernels work on such vectors.

#include "kernels/linear_tile.inl"  // NOLINT: the same target

namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kMaxRows = 8;
  static constexpr int kMaxGroups = 4;
  static constexpr int kRowsWithTwoChains = 6;
  using Float = __m512;
  using Int = __m512i;
  struct Quants {
    __m512i v[8];
  };

  static Float zero() { return _mm512_setzero_ps(); }
  static Float set1(float x) { return _mm512_set1_ps(x); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  static __m128i load_16(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static __m256i load_32(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Float load_half(const uint8_t* p, int) { return _mm512_cvtph_ps(load_32(p)); }
  static Float load_bf16(const uint8_t* p, int) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_32(p)), 16));
  }
  static Float load_float(const uint8_t* p, int) { return _mm512_loadu_ps(p); }
  static Float load_u8(const uint8_t* p, int) { return to_float(_mm512_cvtepu8_epi32(load_16(p))); }
  static Float load_i8(const uint8_t* p, int) { return to_float(_mm512_cvtepi8_epi32(load_16(p))); }

  static uint32_t max_magnitude_bits(const float* x) {
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), magnitude);
    const __m512i b = _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude);
    return static_cast<uint32_t>(_mm512_reduce_max_epi32(_mm512_max_epi32(a, b)));
  }

  template <class Act>
  static void round_to_bytes(const float* x, float lift, float inverse, Act& out) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const Float scaled = mul(mul(_mm512_loadu_ps(x + h * 16), set1(lift)), set1(inverse));
      const __m512i q = _mm512_cvtps_epi32(scaled);
      out.half_sum[h] = _mm512_reduce_add_epi32(q);
      auto* high_bytes = reinterpret_cast<__m128i*>(out.high + h * 16);
      if constexpr (Act::kMax > 127) {
        const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(64)), 7);
        const __m512i low = _mm512_sub_epi32(q, _mm512_slli_epi32(high, 7));
        _mm_storeu_si128(high_bytes, _mm512_cvtepi32_epi8(high));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out.low + h * 16), _mm512_cvtepi32_epi8(low));
      } else {
        _mm_storeu_si128(high_bytes, _mm512_cvtepi32_epi8(q));
      }
    }
  }

  // Vector v of a block. Where there are registers for all eight, unpack() gives them at once.
  template <int kBits>
  static __m512i vector_at(const uint8_t* block, int v) {
    if constexpr (kBits == 8) return _mm512_loadu_si512(block + v * 64);
    const __m512i both = _mm512_loadu_si512(block + v % 4 * 64);
    __m512i out = _mm512_and_si512(v < 4 ? both : _mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
    if constexpr (kBits == 5) {
      uint64_t mask = 0;
      std::memcpy(&mask, block + 256 + v * 8, sizeof mask);
      out = _mm512_mask_add_epi8(out, mask, out, _mm512_set1_epi8(16));
    } else if constexpr (kBits == 6) {
      const __m512i plane = _mm512_loadu_si512(block + 256 + v / 4 * 64);
      const __m512i shifted = v % 4 == 0   ? _mm512_slli_epi16(plane, 4)
                              : v % 4 == 1 ? _mm512_slli_epi16(plane, 2)
                              : v % 4 == 2 ? plane
                                           : _mm512_srli_epi16(plane, 2);
      out = _mm512_ternarylogic_epi32(shifted, _mm512_set1_epi8(0x30), out, 0xEA);  // c | (a & b)
    }
    return out;
  }

  template <int kBits>
  static Quants unpack(const uint8_t* block, int) {
    Quants out;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      out.v[i] = vector_at<kBits>(block, i);
      out.v[i + 4] = vector_at<kBits>(block, i + 4);
    }
    return out;
  }

  static __m512i broadcast4(const int8_t* p) {
    int32_t four = 0;
    std::memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
  }

  // out[r] += the dot of the vectors kFirst, kFirst + kStep ... with the activations at `bytes`.
  template <int kFirst, int kLast, int kStep, int kRows>
  static void add_products(const Quants& w, const int8_t* const (&bytes)[kRows],
                           Int (&out)[kRows]) {
#pragma GCC unroll 8
    for (int v = kFirst; v < kLast; v += kStep) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        out[r] = _mm512_dpbusd_epi32(out[r], w.v[v], broadcast4(bytes[r] + 4 * v));
      }
    }
  }

  // Few rows mean few chains of dependent instructions: two more are made of even and odd vectors.
  template <int kFirst, int kLast, int kRows>
  static void dot_bytes(const Quants& w, const int8_t* const (&bytes)[kRows], Int (&out)[kRows]) {
    if constexpr (kRows > 2) {
      return add_products<kFirst, kLast, 1>(w, bytes, out);
    }
    Int odd[kRows];
    clear(odd);
    add_products<kFirst, kLast, 2>(w, bytes, out);
    add_products<kFirst + 1, kLast, 2>(w, bytes, odd);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      out[r] = _mm512_add_epi32(out[r], odd[r]);
    }
  }

  template <int kRows>
  static void clear(Int (&out)[kRows]) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      out[r] = _mm512_setzero_si512();
    }
  }

  // Exact dots over the vectors [kFirst, kLast), zero point taken off.
  template <class Act, PackedLayout kLayout, int kFirst, int kLast, int kRows>
  static void dot(const Quants& w, const Act* const (&x)[kRows], Int (&out)[kRows]) {
    const int8_t* bytes[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      bytes[r] = x[r]->high;
    }
    clear(out);
    dot_bytes<kFirst, kLast>(w, bytes, out);
    if constexpr (Act::kMax > 127) {
      Int low[kRows];
      clear(low);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        bytes[r] = x[r]->low;
        out[r] = _mm512_slli_epi32(out[r], 7);
      }
      if constexpr (kRows > kRowsWithTwoChains) {  // no registers for a second set of sums
        dot_bytes<kFirst, kLast>(w, bytes, out);
      } else {
        dot_bytes<kFirst, kLast>(w, bytes, low);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          out[r] = _mm512_add_epi32(out[r], low[r]);
        }
      }
    }
    if constexpr (kLayout.zero_point_shift > 0) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const int32_t sum = kLast - kFirst == 8 ? x[r]->int_sum : x[r]->half_sum[kFirst / 4];
        out[r] = _mm512_sub_epi32(
            out[r], _mm512_slli_epi32(_mm512_set1_epi32(sum), kLayout.zero_point_shift));
      }
    }
  }
};

}  // namespace
