// SIMD parts of attention.cpp: products of query rows with keys, and of weights with values.
// Compiled once per instruction set (Highway), so it has no include guard of the usual kind.
//
// Every sum keeps one order whatever the shape of the tile: scores over channels, values over
// cells. Cells are 16-bit mostly; where more than four rows read them, a tile is turned into floats
// once and read by all of them.
#if defined(EBB_KERNELS_ATTENTION_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EBB_KERNELS_ATTENTION_TILES_INL_H_
#undef EBB_KERNELS_ATTENTION_TILES_INL_H_
#else
#define EBB_KERNELS_ATTENTION_TILES_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/attention_state.h"
#include "kernels/numbers.h"

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, kCellGroup>;
using Vec = hn::Vec<F32>;

// Rows x vectors of a tile: with their accumulators they fill the register file, which on x86 has
// 32 registers only from AVX-512 on.
constexpr int kTileRows = 4;
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3
constexpr size_t kTileUnits = 2;
#else
constexpr size_t kTileUnits = 4;
#endif

inline HWY_ATTR Vec load_numbers(F32 d, const float* p) { return hn::LoadU(d, p); }
inline HWY_ATTR Vec load_numbers(F32 d, const hwy::float16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, F32>(), p));
}
inline HWY_ATTR Vec load_numbers(F32 d, const hwy::bfloat16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, F32>(), p));
}
inline float load_number(const float* p) { return *p; }
inline float load_number(const hwy::float16_t* p) { return f16_to_f32(p->bits); }
inline float load_number(const hwy::bfloat16_t* p) { return bf16_to_f32(p->bits); }

// Requires: n is a multiple of the vector's lanes.
template <typename T>
HWY_ATTR void to_floats(const T* from, size_t n, float* to) {
  const F32 d;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) hn::StoreU(load_numbers(d, from + i), d, to + i);
}

// Cells are read once and in short runs: the processor does not see by itself what comes next. So
// whoever reads numbers from one place asks for as many from another, which is read soon.
constexpr size_t kLineBytes = 64;
inline void ask(const std::byte* p) { hwy::Prefetch(p); }

// Numbers of some rows, `stride` apart.
struct RowsAt {
  float* first;
  size_t stride;
};

// scores[r] of kN vectors of cells: each lane goes on summing over n_channels channels in order.
// ahead: null, or what to ask for meanwhile, as many bytes of each as there are of keys.
template <typename T, int kR, int kN>
HWY_ATTR void score_tile(const float* const* queries, size_t channel, const T* const* keys,
                         size_t n_channels, bool is_first, RowsAt scores,
                         const std::byte* const* ahead) {
  const F32 d;
  const size_t n_lanes = hn::Lanes(d);
  Vec sum[kR][kN];
  for (int r = 0; r < kR; ++r) {
    const float* from = scores.first + static_cast<size_t>(r) * scores.stride;
    for (int u = 0; u < kN; ++u) {
      sum[r][u] = is_first ? hn::Zero(d) : hn::LoadU(d, from + static_cast<size_t>(u) * n_lanes);
    }
  }
  const size_t vector_bytes = n_lanes * sizeof(T);
  for (size_t c = 0; c < n_channels; ++c) {
    if (ahead != nullptr && c * vector_bytes % kLineBytes == 0) {
      for (int u = 0; u < kN; ++u) ask(ahead[u] + c * vector_bytes);
    }
    Vec key[kN];
    for (int u = 0; u < kN; ++u) key[u] = load_numbers(d, keys[u] + c * kCellGroup);
    for (int r = 0; r < kR; ++r) {
      const Vec x = hn::Set(d, queries[r][channel + c]);
      for (int u = 0; u < kN; ++u) sum[r][u] = hn::MulAdd(x, key[u], sum[r][u]);
    }
  }
  for (int r = 0; r < kR; ++r) {
    float* to = scores.first + static_cast<size_t>(r) * scores.stride;
    for (int u = 0; u < kN; ++u) hn::StoreU(sum[r][u], d, to + static_cast<size_t>(u) * n_lanes);
  }
}

template <typename T, int kN>
HWY_ATTR void score_rows(const float* const* queries, size_t n_rows, size_t channel,
                         const T* const* keys, size_t n_channels, bool is_first, RowsAt scores,
                         const std::byte* const* ahead) {
  size_t r = 0;
  const auto tile = [&](auto n) {
    const RowsAt at{scores.first + r * scores.stride, scores.stride};
    score_tile<T, n.value, kN>(queries + r, channel, keys, n_channels, is_first, at,
                               r == 0 ? ahead : nullptr);
  };
  for (; r + kTileRows <= n_rows; r += kTileRows) tile(std::integral_constant<int, kTileRows>());
  const size_t n_left = n_rows - r;
  if (n_left == 3) tile(std::integral_constant<int, 3>());
  if (n_left == 2) tile(std::integral_constant<int, 2>());
  if (n_left == 1) tile(std::integral_constant<int, 1>());
}

// All rows against the groups of a tile; group g's keys of these channels begin at keys(g).
// ahead: null, or what to ask for while group g is read.
template <typename T, typename Keys>
HWY_ATTR void score_groups(const float* const* queries, size_t n_rows, size_t channel,
                           size_t n_channels, size_t n_groups, const Keys& keys, RowsAt scores,
                           const std::byte* const* ahead) {
  const size_t n_lanes = hn::Lanes(F32());
  const size_t units_per_group = kCellGroup / n_lanes;
  const size_t n_units = n_groups * units_per_group;
  const T* at[kTileUnits];
  const std::byte* wanted[kTileUnits];
  const auto locate = [&](size_t unit, size_t n) {
    for (size_t u = 0; u < n; ++u) {
      const size_t g = (unit + u) / units_per_group;
      const size_t part = (unit + u) % units_per_group;
      at[u] = keys(g) + part * n_lanes;
      if (ahead != nullptr) wanted[u] = ahead[g] + part * n_channels * n_lanes * sizeof(T);
    }
    return RowsAt{scores.first + unit * n_lanes, scores.stride};
  };
  const bool is_first = channel == 0;
  const std::byte* const* asked = ahead == nullptr ? nullptr : wanted;
  size_t unit = 0;
  for (; unit + kTileUnits <= n_units; unit += kTileUnits) {
    const RowsAt out = locate(unit, kTileUnits);
    score_rows<T, kTileUnits>(queries, n_rows, channel, at, n_channels, is_first, out, asked);
  }
  for (; unit + 2 <= n_units; unit += 2) {
    const RowsAt out = locate(unit, 2);
    score_rows<T, 2>(queries, n_rows, channel, at, n_channels, is_first, out, asked);
  }
  for (; unit < n_units; ++unit) {
    const RowsAt out = locate(unit, 1);
    score_rows<T, 1>(queries, n_rows, channel, at, n_channels, is_first, out, asked);
  }
}

// scores[r][16 g + i] = query r * key of lane i of group g.
template <typename T>
HWY_ATTR void score_block(const float* const* queries, size_t n_rows, size_t head_dim,
                          std::span<const CellGroup> groups, const std::byte* const* ahead,
                          float* tile, RowsAt scores) {
  const auto raw = [&](size_t g) { return reinterpret_cast<const T*>(groups[g].keys); };
  if (std::is_same_v<T, float> || n_rows <= kTileRows) {
    score_groups<T>(queries, n_rows, 0, head_dim, groups.size(), raw, scores, ahead);
    return;
  }
  for (size_t first = 0; first < groups.size(); first += kTileGroups) {
    const size_t n_groups = std::min(kTileGroups, groups.size() - first);
    const RowsAt out{scores.first + first * kCellGroup, scores.stride};
    for (size_t channel = 0; channel < head_dim; channel += kTileChannels) {
      const size_t n_channels = std::min(kTileChannels, head_dim - channel);
      for (size_t g = 0; g < n_groups; ++g) {
        to_floats(raw(first + g) + channel * kCellGroup, n_channels * kCellGroup,
                  tile + g * kTileChannels * kCellGroup);
      }
      const auto keys = [&](size_t g) { return tile + g * kTileChannels * kCellGroup; };
      score_groups<float>(queries, n_rows, channel, n_channels, n_groups, keys, out, nullptr);
    }
  }
}

// Groups whose values are weighed.
struct WeighedGroups {
  std::span<const CellGroup> groups;
  size_t stride;                  // numbers from cell to cell
  const std::byte* const* ahead;  // null, or what to ask for while group g is read
};

// out[r][kN vectors of channels] goes on summing weight * value over the cells of the groups, in
// order. Group g's values lie at values(g), and in it they begin at `channel`. sums, where wanted,
// goes on summing the weights themselves: other units of the processor add them meanwhile.
template <typename T, int kR, int kN, typename Values>
HWY_ATTR void weigh_tile(const WeighedGroups& of, const Values& values, size_t channel,
                         RowsAt weights, bool is_first, RowsAt out, float* sums) {
  const F32 d;
  const size_t n_lanes = hn::Lanes(d);
  Vec sum[kR][kN];
  for (int r = 0; r < kR; ++r) {
    const float* from = out.first + static_cast<size_t>(r) * out.stride;
    for (int u = 0; u < kN; ++u) {
      sum[r][u] = is_first ? hn::Zero(d) : hn::LoadU(d, from + static_cast<size_t>(u) * n_lanes);
    }
  }
  Vec total[kR];
  for (int r = 0; r < kR; ++r) total[r] = hn::Set(d, sums == nullptr || is_first ? 0.0F : sums[r]);
  for (size_t g = 0; g < of.groups.size(); ++g) {
    const T* cells = values(g) + channel;
    const float* w = weights.first + g * kCellGroup;
    const std::byte* ahead = of.ahead == nullptr ? nullptr : of.ahead[g] + channel * sizeof(T);
    for (size_t i = of.groups[g].lane_begin; i < of.groups[g].lane_end; ++i) {
      if (ahead != nullptr) {
        const std::byte* row = ahead + i * of.stride * sizeof(T);
        for (size_t b = 0; b < kN * n_lanes * sizeof(T); b += kLineBytes) ask(row + b);
      }
      Vec value[kN];
      for (int u = 0; u < kN; ++u) {
        value[u] = load_numbers(d, cells + i * of.stride + static_cast<size_t>(u) * n_lanes);
      }
      for (int r = 0; r < kR; ++r) {
        const Vec weight = hn::Set(d, w[static_cast<size_t>(r) * weights.stride + i]);
        total[r] = hn::Add(total[r], weight);
        for (int u = 0; u < kN; ++u) sum[r][u] = hn::MulAdd(weight, value[u], sum[r][u]);
      }
    }
  }
  for (int r = 0; r < kR; ++r) {
    float* to = out.first + static_cast<size_t>(r) * out.stride;
    for (int u = 0; u < kN; ++u) hn::StoreU(sum[r][u], d, to + static_cast<size_t>(u) * n_lanes);
    if (sums != nullptr) sums[r] = hn::GetLane(total[r]);
  }
}

template <typename T, int kN, typename Values>
HWY_ATTR void weigh_rows(WeighedGroups of, const Values& values, size_t channel, size_t n_rows,
                         RowsAt weights, bool is_first, RowsAt out, float* sums) {
  size_t r = 0;
  const auto tile = [&](auto n) {
    const auto row = [&](RowsAt all) { return RowsAt{all.first + r * all.stride, all.stride}; };
    weigh_tile<T, n.value, kN>(of, values, channel, row(weights), is_first, row(out),
                               sums == nullptr ? nullptr : sums + r);
    of.ahead = nullptr;  // asked for once
  };
  for (; r + kTileRows <= n_rows; r += kTileRows) tile(std::integral_constant<int, kTileRows>());
  const size_t n_left = n_rows - r;
  if (n_left == 3) tile(std::integral_constant<int, 3>());
  if (n_left == 2) tile(std::integral_constant<int, 2>());
  if (n_left == 1) tile(std::integral_constant<int, 1>());
}

// All rows and n_channels channels, a multiple of the vector's lanes, over some groups.
template <typename T, typename Values>
HWY_ATTR void weigh_groups(const WeighedGroups& of, const Values& values, size_t n_rows,
                           size_t n_channels, RowsAt weights, bool is_first, RowsAt out,
                           float* sums) {
  const size_t n_lanes = hn::Lanes(F32());
  size_t c = 0;
  const auto to = [&] { return RowsAt{out.first + c, out.stride}; };
  const auto sums_once = [&] { return c == 0 ? sums : nullptr; };
  for (; c + kTileUnits * n_lanes <= n_channels; c += kTileUnits * n_lanes) {
    weigh_rows<T, kTileUnits>(of, values, c, n_rows, weights, is_first, to(), sums_once());
  }
  for (; c + n_lanes <= n_channels; c += n_lanes) {
    weigh_rows<T, 1>(of, values, c, n_rows, weights, is_first, to(), sums_once());
  }
}

// Channels that do not fill a vector.
template <typename T>
void weigh_last_channels(std::span<const CellGroup> groups, size_t head_dim, size_t channel,
                         size_t n_rows, RowsAt weights, RowsAt out) {
  for (size_t c = channel; c < head_dim; ++c) {
    for (size_t r = 0; r < n_rows; ++r) {
      float sum = 0.0F;
      for (size_t g = 0; g < groups.size(); ++g) {
        const T* values = reinterpret_cast<const T*>(groups[g].values);
        const float* w = weights.first + r * weights.stride + g * kCellGroup;
        for (size_t i = groups[g].lane_begin; i < groups[g].lane_end; ++i) {
          sum = std::fma(w[i], load_number(values + i * head_dim + c), sum);
        }
      }
      out.first[r * out.stride + c] = sum;
    }
  }
}

// The sum of each row's weights, in order; lanes that are no cells hold 0. Rows in eights, so that
// one row's chain of additions hides behind the others'.
inline void sum_weights(size_t n, size_t n_rows, RowsAt weights, float* sums) {
  constexpr size_t kChains = 8;
  for (size_t first = 0; first < n_rows; first += kChains) {
    const size_t n_chains = std::min(kChains, n_rows - first);
    float sum[kChains] = {};
    const float* p[kChains];
    for (size_t r = 0; r < kChains; ++r) {
      p[r] = weights.first + (first + std::min(r, n_chains - 1)) * weights.stride;
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t r = 0; r < kChains; ++r) sum[r] += p[r][i];
    }
    std::copy_n(sum, n_chains, sums + first);
  }
}

// out[r][channel] = sum over the cells, in order, of weight * value; sums[r] = sum of the weights.
template <typename T>
HWY_ATTR void weigh_block(const WeighedGroups& of, size_t n_rows, RowsAt weights, float* tile,
                          RowsAt out, float* sums) {
  const std::span<const CellGroup> groups = of.groups;
  const size_t head_dim = of.stride;
  const size_t n_whole = head_dim / hn::Lanes(F32()) * hn::Lanes(F32());
  weigh_last_channels<T>(groups, head_dim, n_whole, n_rows, weights, out);
  if (n_whole == 0) sum_weights(groups.size() * kCellGroup, n_rows, weights, sums);
  const auto raw = [&](size_t g) { return reinterpret_cast<const T*>(groups[g].values); };
  if (std::is_same_v<T, float> || n_rows <= kTileRows) {
    weigh_groups<T>(of, raw, n_rows, n_whole, weights, true, out, sums);
    return;
  }
  for (size_t channel = 0; channel < n_whole; channel += kTileChannels) {
    const size_t n_channels = std::min(kTileChannels, n_whole - channel);
    for (size_t first = 0; first < groups.size(); first += kTileGroups) {
      const auto some = groups.subspan(first, std::min(kTileGroups, groups.size() - first));
      const auto values = [&](size_t g) { return tile + g * kCellGroup * kTileChannels; };
      for (size_t g = 0; g < some.size(); ++g) {
        for (size_t i = some[g].lane_begin; i < some[g].lane_end; ++i) {
          to_floats(raw(first + g) + i * head_dim + channel, n_channels,
                    values(g) + i * kTileChannels);
        }
      }
      weigh_groups<float>({some, kTileChannels, nullptr}, values, n_rows, n_channels,
                          {weights.first + first * kCellGroup, weights.stride}, first == 0,
                          {out.first + channel, out.stride}, channel == 0 ? sums : nullptr);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#endif
