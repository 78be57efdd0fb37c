// Linear kernels in plain C++: right on any processor, and the yardstick for the others.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/linear_kernels.h"
#include "kernels/packed_block.h"

namespace ebb::kernels {

#include "kernels/linear_tile.inl"  // NOLINT: its functions belong to this file's target

namespace {

struct Portable {
  static constexpr int kLanes = 16;
  static constexpr int kMaxRows = 4;
  static constexpr int kMaxGroups = 1;
  struct Float {
    float v[16];
  };
  struct Int {
    int32_t v[16];
  };
  struct Quants {
    uint8_t v[8][64];
  };

  template <class Out, class Function>
  static Out each(const Function& function) {
    Out out;
    for (int i = 0; i < 16; ++i) {
      out.v[i] = function(i);
    }
    return out;
  }
  static uint16_t load_u16(const uint8_t* p, int i) {
    uint16_t value = 0;
    std::memcpy(&value, p + 2 * i, sizeof value);
    return value;
  }

  static Float zero() { return Float{}; }
  static Float set1(float x) {
    return each<Float>([&](int) { return x; });
  }
  static Float mul(const Float& a, const Float& b) {
    return each<Float>([&](int i) { return a.v[i] * b.v[i]; });
  }
  static Float fma(const Float& a, const Float& b, const Float& c) {
    return each<Float>([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
  }
  static Float to_float(const Int& x) {
    return each<Float>([&](int i) { return static_cast<float>(x.v[i]); });
  }
  static void store(float* p, const Float& x) { std::memcpy(p, x.v, sizeof x.v); }
  static Float load_half(const uint8_t* p, int) {
    return each<Float>([&](int i) { return half_to_float(load_u16(p, i)); });
  }
  static Float load_bf16(const uint8_t* p, int) {
    return each<Float>([&](int i) { return bf16_to_float(load_u16(p, i)); });
  }
  static Float load_float(const uint8_t* p, int) {
    Float out;
    std::memcpy(out.v, p, sizeof out.v);
    return out;
  }
  static Float load_u8(const uint8_t* p, int) {
    return each<Float>([&](int i) { return static_cast<float>(p[i]); });
  }
  static Float load_i8(const uint8_t* p, int) {
    return each<Float>([&](int i) { return static_cast<float>(static_cast<int8_t>(p[i])); });
  }

  static uint32_t max_magnitude_bits(const float* x) {
    uint32_t max = 0;
    for (int i = 0; i < 32; ++i) {
      max = std::max(max, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
    }
    return max;
  }

  template <class Act>
  static void round_to_bytes(const float* x, float lift, float inverse, Act& out) {
    constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds |v| < 2^22
    for (int h = 0; h < 2; ++h) {
      int32_t sum = 0;
      for (int i = h * 16; i < h * 16 + 16; ++i) {
        const auto q = static_cast<int32_t>((x[i] * lift * inverse + kRounder) - kRounder);
        sum += q;
        if constexpr (Act::kMax > 127) {
          const int32_t high = (q + 64) >> 7;
          out.high[i] = static_cast<int8_t>(high);
          out.low[i] = static_cast<int8_t>(q - high * 128);
        } else {
          out.high[i] = static_cast<int8_t>(q);
        }
      }
      out.half_sum[h] = sum;
    }
  }

  template <int kBits>
  static Quants unpack(const uint8_t* block, int) {
    Quants out;
    for (int v = 0; v < 8; ++v) {
      for (int j = 0; j < 64; ++j) {
        if constexpr (kBits == 8) {
          out.v[v][j] = block[v * 64 + j];
        } else {
          const auto both = static_cast<unsigned>(block[(v % 4) * 64 + j]);
          unsigned q = v < 4 ? both & 15U : both >> 4U;
          if constexpr (kBits == 5) {
            q |= ((static_cast<unsigned>(block[256 + v * 8 + j / 8]) >> (j % 8)) & 1U) << 4U;
          } else if constexpr (kBits == 6) {
            const auto plane = static_cast<unsigned>(block[256 + v / 4 * 64 + j]);
            q |= ((plane >> (2 * (v % 4))) & 3U) << 4U;
          }
          out.v[v][j] = static_cast<uint8_t>(q);
        }
      }
    }
    return out;
  }

  // Exact dots over the vectors [kFirst, kLast), zero point taken off.
  template <class Act, PackedLayout kLayout, int kFirst, int kLast, int kRows>
  static void dot(const Quants& w, const Act* const (&x)[kRows], Int (&out)[kRows]) {
    for (int r = 0; r < kRows; ++r) {
      const int32_t sum = kLast - kFirst == 8 ? x[r]->int_sum : x[r]->half_sum[kFirst / 4];
      out[r] = each<Int>([&](int) { return -sum * kLayout.zero_point(); });
      for (int k = kFirst * 4; k < kLast * 4; ++k) {
        int32_t value = x[r]->high[k];
        if constexpr (Act::kMax > 127) {
          value = value * 128 + x[r]->low[k];
        }
        for (int n = 0; n < 16; ++n) {
          out[r].v[n] += static_cast<int32_t>(w.v[k / 4][n * 4 + k % 4]) * value;
        }
      }
    }
  }
};

constexpr KernelTable kTable = make_kernel_table<Portable>();

}  // namespace

const KernelTable& portable_kernels() { return kTable; }

}  // namespace ebb::kernels
