#include "kernels/moments.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/moments.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;
using Vec = hn::Vec<F32>;

// outer[a .. a + kA, b .. b + kN vectors] over all rows.
template <size_t kA, size_t kN>
HWY_ATTR void add_tile(const float* rows, size_t stride, size_t n_rows, size_t dim, size_t a,
                       size_t b, float* outer) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  Vec sum[kA][kN];
  for (size_t i = 0; i < kA; ++i) {
    for (size_t u = 0; u < kN; ++u) sum[i][u] = hn::LoadU(d, outer + (a + i) * dim + b + u * lanes);
  }
  for (size_t r = 0; r < n_rows; ++r) {
    const float* x = rows + r * stride;
    Vec part[kN];
    for (size_t u = 0; u < kN; ++u) part[u] = hn::LoadU(d, x + b + u * lanes);
    for (size_t i = 0; i < kA; ++i) {
      const Vec scale = hn::Set(d, x[a + i]);
      for (size_t u = 0; u < kN; ++u) sum[i][u] = hn::MulAdd(scale, part[u], sum[i][u]);
    }
  }
  for (size_t i = 0; i < kA; ++i) {
    for (size_t u = 0; u < kN; ++u) hn::StoreU(sum[i][u], d, outer + (a + i) * dim + b + u * lanes);
  }
}

HWY_ATTR void add_products(const float* rows, size_t stride, size_t n_rows, size_t dim, float* sum,
                           float* outer) {
  constexpr size_t kA = 4;
  constexpr size_t kN = 4;
  const size_t lanes = hn::Lanes(F32());
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t a = 0; a < dim; ++a) sum[a] += rows[r * stride + a];
  }
  const size_t n_whole = dim / lanes * lanes;
  for (size_t a = 0; a < dim; a += kA) {
    const size_t n_a = std::min(kA, dim - a);
    size_t b = a / lanes * lanes;
    for (; n_a == kA && b + kN * lanes <= n_whole; b += kN * lanes) {
      add_tile<kA, kN>(rows, stride, n_rows, dim, a, b, outer);
    }
    for (; n_a == kA && b + lanes <= n_whole; b += lanes) {
      add_tile<kA, 1>(rows, stride, n_rows, dim, a, b, outer);
    }
    for (size_t i = a; i < a + n_a; ++i) {
      for (size_t c = std::max(b, i); c < dim; ++c) {
        for (size_t r = 0; r < n_rows; ++r) {
          float& to = outer[i * dim + c];
          to = std::fma(rows[r * stride + i], rows[r * stride + c], to);
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ebb::kernels {
namespace {

HWY_EXPORT(add_products);

}  // namespace

void add_outer_products(const float* rows, size_t stride, size_t n_rows, size_t dim, float* sum,
                        float* outer) {
  HWY_DYNAMIC_DISPATCH(add_products)(rows, stride, n_rows, dim, sum, outer);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
