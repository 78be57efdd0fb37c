// Run-time choice of the instruction set, by what the processor reports.
#include "kernels/linear_isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "kernels/linear_kernels.h"

namespace ebb::kernels {

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kBest:
      return "best";
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512Vnni:
      return "avx512-vnni";
    case Isa::kAmx:
      return "amx";
  }
  return "";
}

#if defined(__x86_64__)
// By hand: clang before 15 does not know the name.
static bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kF16c = 1U << 29;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kF16c) != 0;
}

// Leaf 7 says that the unit exists, XCR0 that the system keeps its registers.
static bool has_amx_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kTileAndBf16 = (1U << 24) | (1U << 22);
  constexpr unsigned kOsxsave = 1U << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsave) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kTileAndBf16) != kTileAndBf16) return false;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3U << 17;
  return (low & kTileState) == kTileState;
}
#endif

bool can_run(Isa isa) {
  if (isa == Isa::kBest || isa == Isa::kPortable) {
    return true;
  }
#if defined(__x86_64__)
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && has_f16c();
  if (isa == Isa::kAvx2) {
    return has_avx2;
  }
  const bool has_vnni =
      has_avx2 && __builtin_cpu_supports("avx512f") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  if (isa == Isa::kAvx512Vnni) {
    return has_vnni;
  }
  static const bool has_amx =
      __builtin_cpu_supports("avx512bf16") != 0 && has_amx_bf16() && may_use_amx();
  return has_vnni && has_amx;
#else
  return false;
#endif
}

Isa resolve(Isa isa) {
  if (isa == Isa::kBest) {
    static const Isa best = can_run(Isa::kAmx)          ? Isa::kAmx
                            : can_run(Isa::kAvx512Vnni) ? Isa::kAvx512Vnni
                            : can_run(Isa::kAvx2)       ? Isa::kAvx2
                                                        : Isa::kPortable;
    return best;
  }
  if (!can_run(isa)) {
    throw Error::make(ErrorKind::kBackend, "linear kernels: this processor cannot run '{}'",
                      name_of(isa));
  }
  return isa;
}

const KernelTable& kernels_of(Isa isa) {
#if defined(__x86_64__)
  switch (resolve(isa)) {
    case Isa::kAmx:
      return amx_kernels();
    case Isa::kAvx512Vnni:
      return avx512_vnni_kernels();
    case Isa::kAvx2:
      return avx2_kernels();
    default:
      return portable_kernels();
  }
#else
  return resolve(isa), portable_kernels();
#endif
}

}  // namespace ebb::kernels
