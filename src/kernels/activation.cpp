#include "kernels/activation.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;
using Vec = hn::Vec<F32>;

// 1 / (1 + exp(-x)). The exponent is held below 88, where exp would overflow: there the sigmoid is
// below 1e-38 anyway. A NaN stays NaN.
HWY_ATTR inline Vec sigmoid(F32 d, Vec x) {
  const Vec bounded = hn::Min(hn::Neg(x), hn::Set(d, 88.0F));
  const Vec one = hn::Set(d, 1.0F);
  const Vec out = hn::Div(one, hn::Add(one, hn::Exp(d, bounded)));
  return hn::IfThenElse(hn::IsNaN(x), x, out);
}

HWY_ATTR void silu_rows(const float* gate, const float* up, size_t n, float* out) {
  const F32 d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const Vec x = hn::LoadU(d, gate + i);
    hn::StoreU(hn::Mul(hn::Mul(x, sigmoid(d, x)), hn::LoadU(d, up + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = gate[i] / (1.0F + std::exp(-gate[i])) * up[i];
}

// tanh(y) = 2 sigmoid(2y) - 1, so gelu(x) = x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
HWY_ATTR void gelu_rows(const float* gate, const float* up, size_t n, float* out) {
  const F32 d;
  constexpr float kTwice = 2.0F * 0.797884560802865F;
  const Vec twice = hn::Set(d, kTwice);
  const Vec cubic = hn::Set(d, 0.044715F);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const Vec x = hn::LoadU(d, gate + i);
    const Vec inner = hn::Mul(twice, hn::MulAdd(hn::Mul(hn::Mul(x, x), x), cubic, x));
    hn::StoreU(hn::Mul(hn::Mul(x, sigmoid(d, inner)), hn::LoadU(d, up + i)), d, out + i);
  }
  for (; i < n; ++i) {
    const float x = gate[i];
    const float inner = kTwice * std::fma(x * x * x, 0.044715F, x);
    out[i] = x / (1.0F + std::exp(-inner)) * up[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ebb::kernels {
namespace {
HWY_EXPORT(silu_rows);
HWY_EXPORT(gelu_rows);
}  // namespace

void silu_mul(const float* gate, const float* up, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(silu_rows)(gate, up, n, out);
}

void gelu_mul(const float* gate, const float* up, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(gelu_rows)(gate, up, n, out);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
