#include "kernels/norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kSums = 8;
using F32 = hn::CappedTag<float, 16>;
using F64 = hn::CappedTag<double, kSums>;

// The square of a float is exact in double, so fused or not gives the same.
HWY_ATTR double sum_of_squares(const float* x, size_t n) {
  const F64 d;
  const hn::Rebind<float, F64> narrow;
  const size_t n_lanes = hn::Lanes(d);
  constexpr size_t kParts = kSums / hn::MaxLanes(F64());
  hn::Vec<F64> part[kParts];
  for (size_t p = 0; p < kParts; ++p) part[p] = hn::Zero(d);
  size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (size_t p = 0; p < kParts; ++p) {
      const auto v = hn::PromoteTo(d, hn::LoadU(narrow, x + i + p * n_lanes));
      part[p] = hn::MulAdd(v, v, part[p]);
    }
  }
  double sums[kSums];
  for (size_t p = 0; p < kParts; ++p) hn::StoreU(part[p], d, sums + p * n_lanes);
  for (; i < n; ++i) sums[0] += static_cast<double>(x[i]) * x[i];
  double sum = 0.0;
  for (const double s : sums) sum += s;
  return sum;
}

HWY_ATTR void norm_row(const float* x, const float* weight, float eps, size_t n, float* out) {
  const auto mean = static_cast<float>(sum_of_squares(x, n) / static_cast<double>(n));
  const float scale = 1.0F / std::sqrt(mean + eps);
  const F32 d;
  const auto factor = hn::Set(d, scale);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), factor);
    hn::StoreU(hn::Mul(scaled, hn::LoadU(d, weight + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ebb::kernels {
namespace {
HWY_EXPORT(norm_row);
}  // namespace

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(norm_row)(x, weight, eps, n, out);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
