#include "kernels/numbers.h"

#include <cstdint>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/numbers.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ebb::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;

HWY_ATTR void floats_to_halves(const float* in, size_t n, uint16_t* out) {
  const F32 d;
  const hn::Rebind<hwy::float16_t, F32> d16;
  auto* halves = reinterpret_cast<hwy::float16_t*>(out);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, in + i)), d16, halves + i);
  }
  for (; i < n; ++i) out[i] = f32_to_f16(in[i]);
}

HWY_ATTR void halves_to_floats(const uint16_t* in, size_t n, float* out) {
  const F32 d;
  const hn::Rebind<hwy::float16_t, F32> d16;
  const auto* halves = reinterpret_cast<const hwy::float16_t*>(in);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(d16, halves + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = f16_to_f32(in[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace ebb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ebb::kernels {
namespace {
HWY_EXPORT(floats_to_halves);
HWY_EXPORT(halves_to_floats);
}  // namespace

void from_floats(CellType type, const float* in, size_t n, void* out) {
  auto* halves = static_cast<uint16_t*>(out);
  switch (type) {
    case CellType::kF32:
      std::memcpy(out, in, n * sizeof(float));
      break;
    case CellType::kF16:
      HWY_DYNAMIC_DISPATCH(floats_to_halves)(in, n, halves);
      break;
    case CellType::kBf16:
      for (size_t i = 0; i < n; ++i) halves[i] = f32_to_bf16(in[i]);
      break;
  }
}

void to_floats(CellType type, const void* in, size_t n, float* out) {
  const auto* halves = static_cast<const uint16_t*>(in);
  switch (type) {
    case CellType::kF32:
      std::memcpy(out, in, n * sizeof(float));
      break;
    case CellType::kF16:
      HWY_DYNAMIC_DISPATCH(halves_to_floats)(halves, n, out);
      break;
    case CellType::kBf16:
      for (size_t i = 0; i < n; ++i) out[i] = bf16_to_f32(halves[i]);
      break;
  }
}

}  // namespace ebb::kernels
#endif  // HWY_ONCE
