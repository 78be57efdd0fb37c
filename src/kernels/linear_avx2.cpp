// Linear kernels for AVX2: a group of 16 outputs is done in two halves of 8 lanes.
// Products of unsigned weights and signed activations are added in 16 bits only as far as they
// provably fit; 8-bit weights go through |w| * sign(w) x, whose pairs stay below 2^15.
#include "kernels/linear_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace ebb::kernels {

#include "kernels/linear_tile.inl"  // NOLINT: its functions belong to this file's target

namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kMaxRows = 4;
  static constexpr int kMaxGroups = 4;
  using Float = __m256;
  using Int = __m256i;
  struct Quants {
    __m256i v[8];
  };

  static Float zero() { return _mm256_setzero_ps(); }
  static Float set1(float x) { return _mm256_set1_ps(x); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
  static void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
  static __m256i load_32(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static __m128i load_16(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static __m128i load_8(const uint8_t* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  }
  static Float load_half(const uint8_t* p, int half) {
    return _mm256_cvtph_ps(load_16(p + half * 16));
  }
  static Float load_bf16(const uint8_t* p, int half) {
    const __m256i wide = _mm256_cvtepu16_epi32(load_16(p + half * 16));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static Float load_float(const uint8_t* p, int half) {
    return _mm256_castsi256_ps(load_32(p + half * 32));
  }
  static Float load_u8(const uint8_t* p, int half) {
    return to_float(_mm256_cvtepu8_epi32(load_8(p + half * 8)));
  }
  static Float load_i8(const uint8_t* p, int half) {
    return to_float(_mm256_cvtepi8_epi32(load_8(p + half * 8)));
  }

  static uint32_t max_magnitude_bits(const float* x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i max = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      const __m256i bits = load_32(reinterpret_cast<const uint8_t*>(x + i * 8));
      max = _mm256_max_epi32(max, _mm256_and_si256(bits, magnitude));
    }
    __m128i top = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0x4E));
    top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(top));
  }

  static int32_t sum_of(__m256i x) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
  }

  // 16 small integers as bytes, in order.
  static void store_bytes(int8_t* p, __m256i a, __m256i b) {
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }

  template <class Act>
  static void round_to_bytes(const float* x, float lift, float inverse, Act& out) {
    for (int h = 0; h < 2; ++h) {
      __m256i q[2];
      for (int i = 0; i < 2; ++i) {
        const Float value = _mm256_loadu_ps(x + h * 16 + i * 8);
        q[i] = _mm256_cvtps_epi32(mul(mul(value, set1(lift)), set1(inverse)));
      }
      out.half_sum[h] = sum_of(_mm256_add_epi32(q[0], q[1]));
      if constexpr (Act::kMax > 127) {
        const __m256i half = _mm256_set1_epi32(64);
        const __m256i high[2] = {_mm256_srai_epi32(_mm256_add_epi32(q[0], half), 7),
                                 _mm256_srai_epi32(_mm256_add_epi32(q[1], half), 7)};
        store_bytes(out.high + h * 16, high[0], high[1]);
        store_bytes(out.low + h * 16, _mm256_sub_epi32(q[0], _mm256_slli_epi32(high[0], 7)),
                    _mm256_sub_epi32(q[1], _mm256_slli_epi32(high[1], 7)));
      } else {
        store_bytes(out.high + h * 16, q[0], q[1]);
      }
    }
  }

  // Bit i of a 32-bit mask -> 16 in byte i.
  static __m256i fifth_bits(const uint8_t* p) {
    int32_t mask = 0;
    std::memcpy(&mask, p, sizeof mask);
    const __m256i byte_of_bit =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ULL));
    const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(mask), byte_of_bit);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
    return _mm256_and_si256(is_set, _mm256_set1_epi8(16));
  }

  template <int kBits>
  static Quants unpack(const uint8_t* block, int half) {
    Quants out;
    if constexpr (kBits == 8) {
      const __m256i flip = _mm256_set1_epi8(-128);
      for (int v = 0; v < 8; ++v) {  // back to int8: dot() needs the sign
        out.v[v] = _mm256_xor_si256(load_32(block + v * 64 + half * 32), flip);
      }
      return out;
    }
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m256i both = load_32(block + i * 64 + half * 32);
      out.v[i] = _mm256_and_si256(both, nibble);
      out.v[i + 4] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
    }
    if constexpr (kBits == 5) {
      for (int v = 0; v < 8; ++v) {
        out.v[v] = _mm256_or_si256(out.v[v], fifth_bits(block + 256 + v * 8 + half * 4));
      }
    } else if constexpr (kBits == 6) {
      const __m256i pair = _mm256_set1_epi8(0x30);
      for (int h = 0; h < 2; ++h) {
        const __m256i plane = load_32(block + 256 + h * 64 + half * 32);
        const __m256i shifted[4] = {_mm256_slli_epi16(plane, 4), _mm256_slli_epi16(plane, 2), plane,
                                    _mm256_srli_epi16(plane, 2)};
        for (int i = 0; i < 4; ++i) {
          out.v[h * 4 + i] = _mm256_or_si256(out.v[h * 4 + i], _mm256_and_si256(shifted[i], pair));
        }
      }
    }
    return out;
  }

  // Pairs of w * x in 16 bits; |w| as given, x four consecutive activations.
  template <int kBits>
  static __m256i pair_products(__m256i w, const int8_t* x) {
    int32_t four = 0;
    std::memcpy(&four, x, sizeof four);
    const __m256i values = _mm256_set1_epi32(four);
    if constexpr (kBits == 8) {
      return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(values, w));
    }
    return _mm256_maddubs_epi16(w, values);
  }

  template <int kBits, int kFirst, int kLast>
  static __m256i dot_bytes(const Quants& w, const int8_t* x) {
    // 2 * 127 * max weight * run <= 32767
    constexpr int kRun = kBits == 4 ? 8 : kBits == 5 ? 4 : kBits == 6 ? 2 : 1;
    constexpr int kStep = kRun < kLast - kFirst ? kRun : kLast - kFirst;
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int v = kFirst; v < kLast; v += kStep) {
      __m256i run = pair_products<kBits>(w.v[v], x + 4 * v);
#pragma GCC unroll 8
      for (int i = 1; i < kStep; ++i) {
        run = _mm256_add_epi16(run, pair_products<kBits>(w.v[v + i], x + 4 * (v + i)));
      }
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(run, _mm256_set1_epi16(1)));
    }
    return sum;
  }

  // Exact dots over the vectors [kFirst, kLast), zero point taken off.
  template <class Act, PackedLayout kLayout, int kFirst, int kLast, int kRows>
  static void dot(const Quants& w, const Act* const (&x)[kRows], Int (&out)[kRows]) {
    for (int r = 0; r < kRows; ++r) {
      out[r] = dot_bytes<kLayout.bits, kFirst, kLast>(w, x[r]->high);
      if constexpr (Act::kMax > 127) {
        out[r] = _mm256_add_epi32(_mm256_slli_epi32(out[r], 7),
                                  dot_bytes<kLayout.bits, kFirst, kLast>(w, x[r]->low));
      }
      if constexpr (kLayout.zero_point_shift > 0 && kLayout.bits != 8) {
        const int32_t sum = kLast - kFirst == 8 ? x[r]->int_sum : x[r]->half_sum[kFirst / 4];
        out[r] = _mm256_sub_epi32(
            out[r], _mm256_slli_epi32(_mm256_set1_epi32(sum), kLayout.zero_point_shift));
      }
    }
  }
};

constexpr KernelTable kTable = make_kernel_table<Avx2>();

}  // namespace

const KernelTable& avx2_kernels() { return kTable; }

}  // namespace ebb::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
