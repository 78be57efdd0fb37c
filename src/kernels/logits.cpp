#include "kernels/logits.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/logits.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;

HWY_ATTR Peak peak_of(const float* x, size_t n) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  const size_t n_whole = n / lanes * lanes;
  auto most = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto poison = hn::Zero(d);  // x - x is a NaN where x is a NaN or an infinity
  for (size_t i = 0; i < n_whole; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    most = hn::Max(most, v);
    poison = hn::Add(poison, hn::Sub(v, v));
  }
  Peak out;
  float bad = hn::GetLane(hn::SumOfLanes(d, poison));
  out.value = hn::GetLane(hn::MaxOfLanes(d, most));
  for (size_t i = n_whole; i < n; ++i) {
    out.value = x[i] > out.value ? x[i] : out.value;
    bad += x[i] - x[i];
  }
  out.all_finite = bad == 0.0F;
  if (!out.all_finite) return out;
  const auto wanted = hn::Set(d, out.value);
  size_t i = 0;
  while (i < n_whole && hn::AllFalse(d, hn::Eq(hn::LoadU(d, x + i), wanted))) i += lanes;
  while (x[i] != out.value) ++i;
  out.index = i;
  return out;
}

HWY_ATTR void list_at_least(const float* x, size_t n, float least, std::vector<int32_t>& out) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  const size_t n_whole = n / lanes * lanes;
  const auto bound = hn::Set(d, least);
  for (size_t i = 0; i < n_whole; i += lanes) {
    if (hn::AllFalse(d, hn::Ge(hn::LoadU(d, x + i), bound))) continue;
    for (size_t k = i; k < i + lanes; ++k) {
      if (x[k] >= least) out.push_back(static_cast<int32_t>(k));
    }
  }
  for (size_t i = n_whole; i < n; ++i) {
    if (x[i] >= least) out.push_back(static_cast<int32_t>(i));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/error.h"

namespace ebb::kernels {

HWY_EXPORT(peak_of);
HWY_EXPORT(list_at_least);

Peak find_peak(std::span<const float> logits) {
  EBB_CHECK(!logits.empty());
  return HWY_DYNAMIC_DISPATCH(peak_of)(logits.data(), logits.size());
}

void find_at_least(std::span<const float> logits, float least, std::vector<int32_t>& out) {
  out.clear();
  HWY_DYNAMIC_DISPATCH(list_at_least)(logits.data(), logits.size(), least, out);
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
