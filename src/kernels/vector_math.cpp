#include "kernels/vector_math.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector_math.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F64 = hn::CappedTag<double, 8>;
using Doubles = hn::Vec<F64>;
using F32 = hn::CappedTag<float, 16>;
using Floats = hn::Vec<F32>;

HWY_ATTR inline Doubles load(const float* p) {
  return hn::PromoteTo(F64(), hn::LoadU(hn::Rebind<float, F64>(), p));
}
HWY_ATTR inline Doubles load(const double* p) { return hn::LoadU(F64(), p); }

template <typename T>
HWY_ATTR double dot_of(const T* a, const float* b, size_t n) {
  const F64 d;
  const size_t lanes = hn::Lanes(d);
  Doubles even = hn::Zero(d);
  Doubles odd = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    even = hn::MulAdd(load(a + i), load(b + i), even);
    odd = hn::MulAdd(load(a + i + lanes), load(b + i + lanes), odd);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

HWY_ATTR double dot_floats(const float* a, const float* b, size_t n) { return dot_of(a, b, n); }
HWY_ATTR double dot_doubles(const double* a, const float* b, size_t n) { return dot_of(a, b, n); }

HWY_ATTR void add_scaled_to(double weight, const float* x, size_t n, double* sum) {
  const F64 d;
  const Doubles w = hn::Set(d, weight);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(hn::MulAdd(w, load(x + i), load(sum + i)), d, sum + i);
  }
  for (; i < n; ++i) sum[i] += weight * x[i];
}

HWY_ATTR MeanAndSpread spread(const float* x, const float* low, const double* inverse, size_t n) {
  const F64 d;
  const size_t lanes = hn::Lanes(d);
  const size_t n_whole = n / lanes * lanes;
  const auto at = [&](size_t i) { return static_cast<double>(x[i] - low[i]) * inverse[i]; };
  const auto many = [&](size_t i) {
    const hn::Rebind<float, F64> df;
    const auto above = hn::Sub(hn::LoadU(df, x + i), hn::LoadU(df, low + i));
    return hn::Mul(hn::PromoteTo(d, above), load(inverse + i));
  };
  Doubles sum = hn::Zero(d);
  for (size_t i = 0; i < n_whole; i += lanes) sum = hn::Add(sum, many(i));
  MeanAndSpread out;
  out.mean = hn::GetLane(hn::SumOfLanes(d, sum));
  for (size_t i = n_whole; i < n; ++i) out.mean += at(i);
  out.mean /= static_cast<double>(n);
  const Doubles mean = hn::Set(d, out.mean);
  Doubles square = hn::Zero(d);
  for (size_t i = 0; i < n_whole; i += lanes) {
    const Doubles away = hn::Sub(many(i), mean);
    square = hn::MulAdd(away, away, square);
  }
  out.square_sum = hn::GetLane(hn::SumOfLanes(d, square));
  for (size_t i = n_whole; i < n; ++i) out.square_sum += (at(i) - out.mean) * (at(i) - out.mean);
  return out;
}

constexpr size_t kUnits = 4;  // vectors of channels

// sum[r][u] += x[r][a] * upper[a][unit u] over the rows [begin, end) of the triangle.
template <size_t kN, size_t kFirstUnit>
HWY_ATTR inline void add_rows(const float* upper, const float* x, size_t dim, size_t begin,
                              size_t end, Floats (&sum)[kN][kUnits]) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  for (size_t a = begin; a < end; ++a) {
    Floats value[kN];
    for (size_t r = 0; r < kN; ++r) value[r] = hn::Set(d, x[r * dim + a]);
    for (size_t u = kFirstUnit; u < kUnits; ++u) {
      const Floats row = hn::LoadU(d, upper + a * dim + u * lanes);
      for (size_t r = 0; r < kN; ++r) sum[r][u] = hn::MulAdd(value[r], row, sum[r][u]);
    }
  }
}

// Forms of kN rows: M x in float, one chain over the channels; its product with x in double.
template <size_t kN>
HWY_ATTR void forms(const float* upper, const float* x, size_t dim, double* out) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < kN; ++r) out[r] = 0.0;
  for (size_t first = 0; first < dim; first += kUnits * lanes) {
    Floats sum[kN][kUnits];
    for (size_t r = 0; r < kN; ++r) {
      for (size_t u = 0; u < kUnits; ++u) sum[r][u] = hn::Zero(d);
    }
    add_rows<kN, 0>(upper + first, x, dim, 0, first, sum);
    // The triangle's own squares: left of a row's diagonal unit it is zero.
    static_assert(kUnits == 4);
    add_rows<kN, 0>(upper + first, x, dim, first, first + lanes, sum);
    add_rows<kN, 1>(upper + first, x, dim, first + lanes, first + 2 * lanes, sum);
    add_rows<kN, 2>(upper + first, x, dim, first + 2 * lanes, first + 3 * lanes, sum);
    add_rows<kN, 3>(upper + first, x, dim, first + 3 * lanes, first + 4 * lanes, sum);
    const F64 dd;
    const size_t half = hn::Lanes(dd);
    HWY_ALIGN float products[16];
    for (size_t r = 0; r < kN; ++r) {
      Doubles total = hn::Zero(dd);
      for (size_t u = 0; u < kUnits; ++u) {
        const size_t at = r * dim + first + u * lanes;
        hn::Store(sum[r][u], d, products);
        for (size_t i = 0; i < lanes; i += half) {
          total = hn::MulAdd(load(products + i), load(x + at + i), total);
        }
      }
      out[r] += hn::GetLane(hn::SumOfLanes(dd, total));
    }
  }
}

HWY_ATTR void forms_of(const float* upper, const float* x, size_t dim, size_t n, double* out) {
  if (dim % (kUnits * hn::Lanes(F32())) != 0) {
    for (size_t t = 0; t < n; ++t) {
      out[t] = 0.0;
      for (size_t a = 0; a < dim; ++a) {
        const double row = dot_of(upper + a * dim + a, x + t * dim + a, dim - a);
        out[t] += row * static_cast<double>(x[t * dim + a]);
      }
    }
    return;
  }
  constexpr size_t kRows = 4;
  size_t t = 0;
  for (; t + kRows <= n; t += kRows) forms<kRows>(upper, x + t * dim, dim, out + t);
  for (; t < n; ++t) forms<1>(upper, x + t * dim, dim, out + t);
}

// sum[r] += |elements [first, first + kU vectors) of W x_r|.
template <size_t kN, size_t kU>
HWY_ATTR void add_magnitudes(const float* weights, const float* x, size_t dim, size_t n_out,
                             size_t first, double* sum) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  Floats y[kN][kU];
  for (size_t r = 0; r < kN; ++r) {
    for (size_t u = 0; u < kU; ++u) y[r][u] = hn::Zero(d);
  }
  for (size_t c = 0; c < dim; ++c) {
    Floats row[kU];
    for (size_t u = 0; u < kU; ++u) row[u] = hn::LoadU(d, weights + c * n_out + first + u * lanes);
    for (size_t r = 0; r < kN; ++r) {
      const Floats value = hn::Set(d, x[r * dim + c]);
      for (size_t u = 0; u < kU; ++u) y[r][u] = hn::MulAdd(value, row[u], y[r][u]);
    }
  }
  const F64 dd;
  const size_t half = hn::Lanes(dd);
  HWY_ALIGN float magnitudes[16];
  for (size_t r = 0; r < kN; ++r) {
    Doubles total = hn::Zero(dd);
    for (size_t u = 0; u < kU; ++u) {
      hn::Store(hn::Abs(y[r][u]), d, magnitudes);
      for (size_t i = 0; i < lanes; i += half) total = hn::Add(total, load(magnitudes + i));
    }
    sum[r] += hn::GetLane(hn::SumOfLanes(dd, total));
  }
}

template <size_t kN>
HWY_ATTR void l1_of(const float* weights, const float* x, size_t dim, size_t n_out, double* out) {
  const size_t lanes = hn::Lanes(F32());
  for (size_t r = 0; r < kN; ++r) out[r] = 0.0;
  size_t e = 0;
  for (; e + kUnits * lanes <= n_out; e += kUnits * lanes) {
    add_magnitudes<kN, kUnits>(weights, x, dim, n_out, e, out);
  }
  for (; e + lanes <= n_out; e += lanes) {
    add_magnitudes<kN, 1>(weights, x, dim, n_out, e, out);
  }
  for (; e < n_out; ++e) {
    for (size_t r = 0; r < kN; ++r) {
      float y = 0.0F;
      for (size_t c = 0; c < dim; ++c) y = std::fma(x[r * dim + c], weights[c * n_out + e], y);
      out[r] += std::fabs(y);
    }
  }
}

HWY_ATTR void l1_all(const float* weights, const float* x, size_t dim, size_t n_out, size_t n,
                     double* out) {
  constexpr size_t kRows = 4;
  size_t t = 0;
  for (; t + kRows <= n; t += kRows) l1_of<kRows>(weights, x + t * dim, dim, n_out, out + t);
  for (; t < n; ++t) l1_of<1>(weights, x + t * dim, dim, n_out, out + t);
}

HWY_ATTR double exponentiate_all(double most, double* values, size_t n) {
  const F64 d;
  const size_t lanes = hn::Lanes(d);
  double sum = 0.0;
  HWY_ALIGN double part[8];
  for (size_t i = 0; i < n; i += lanes) {
    const size_t left = n - i < lanes ? n - i : lanes;
    for (size_t j = 0; j < lanes; ++j) part[j] = j < left ? values[i + j] - most : 0.0;
    const Doubles x = hn::Load(d, part);  // Exp makes 0 of a NaN
    hn::Store(hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x)), d, part);
    for (size_t j = 0; j < left; ++j) sum += values[i + j] = part[j];
  }
  return sum;
}

HWY_ATTR float lowest_of(const float* x, size_t n) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Floats low = hn::Set(d, kInfinity);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) low = hn::Min(low, hn::LoadU(d, x + i));
  float out = hn::GetLane(hn::MinOfLanes(d, low));
  for (; i < n; ++i) out = x[i] < out ? x[i] : out;
  return out;
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/error.h"

namespace ebb::kernels {
namespace {

HWY_EXPORT(dot_floats);
HWY_EXPORT(dot_doubles);
HWY_EXPORT(add_scaled_to);
HWY_EXPORT(spread);
HWY_EXPORT(forms_of);
HWY_EXPORT(exponentiate_all);
HWY_EXPORT(l1_all);
HWY_EXPORT(lowest_of);

}  // namespace

double dot(std::span<const float> a, std::span<const float> b) {
  EBB_DCHECK(a.size() == b.size());
  return HWY_DYNAMIC_DISPATCH(dot_floats)(a.data(), b.data(), a.size());
}

double dot(std::span<const double> a, std::span<const float> b) {
  EBB_DCHECK(a.size() == b.size());
  return HWY_DYNAMIC_DISPATCH(dot_doubles)(a.data(), b.data(), a.size());
}

void add_scaled(double weight, std::span<const float> x, std::span<double> sum) {
  EBB_DCHECK(x.size() == sum.size());
  HWY_DYNAMIC_DISPATCH(add_scaled_to)(weight, x.data(), x.size(), sum.data());
}

MeanAndSpread spread_of(std::span<const float> x, std::span<const float> low,
                        std::span<const double> inverse) {
  EBB_DCHECK(x.size() == low.size() && x.size() == inverse.size());
  return HWY_DYNAMIC_DISPATCH(spread)(x.data(), low.data(), inverse.data(), x.size());
}

void quadratic_forms(std::span<const float> upper, std::span<const float> x,
                     std::span<double> out) {
  if (out.empty()) return;
  const size_t dim = x.size() / out.size();
  EBB_CHECK(x.size() == dim * out.size() && upper.size() == dim * dim);
  HWY_DYNAMIC_DISPATCH(forms_of)(upper.data(), x.data(), dim, out.size(), out.data());
}

void projected_l1(std::span<const float> weights, std::span<const float> x, size_t n_out,
                  std::span<double> out) {
  if (out.empty()) return;
  const size_t dim = x.size() / out.size();
  EBB_CHECK(x.size() == dim * out.size() && weights.size() == dim * n_out);
  HWY_DYNAMIC_DISPATCH(l1_all)(weights.data(), x.data(), dim, n_out, out.size(), out.data());
}

double exponentiate(double most, std::span<double> values) {
  return HWY_DYNAMIC_DISPATCH(exponentiate_all)(most, values.data(), values.size());
}

float lowest(std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(lowest_of)(x.data(), x.size());
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
