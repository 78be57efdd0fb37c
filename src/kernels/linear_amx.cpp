// Linear kernels for Intel's AMX: those of AVX-512 for few rows, and its matrix unit for many.
#include "kernels/linear_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstring>

namespace ebb::kernels {

#include "kernels/linear_matrix.inl"  // NOLINT: its functions are of a target of their own

namespace {

// By hand: GCC 12's tile intrinsics do not say that they read memory, so that stores before a load
// may move behind it.
struct AmxTiles {
  struct alignas(64) Config {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t n_rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };

  static void configure() {
    const Config config;
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  static void release() { __asm__ volatile("tilerelease"); }

  template <int kTile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  template <int kTile>
  static void load(const void* p) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                     :
                     : "r"(p), "r"(size_t{64}), "i"(kTile)
                     : "memory");
  }
  template <int kTile>
  static void store(void* p) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                     :
                     : "r"(p), "r"(size_t{64}), "i"(kTile)
                     : "memory");
  }
  template <int kSum, int kA, int kB>
  static void multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
};

constexpr MatrixKernels kMatrix = make_matrix_kernels<AmxTiles>();

}  // namespace

const KernelTable& amx_kernels() {
  static const KernelTable table = [] {
    KernelTable out = avx512_vnni_kernels();
    out.matrix = &kMatrix;
    return out;
  }();
  return table;
}

// Linux gives a process the unit's large registers only when asked. It refuses where a thread has
// an alternate signal stack that they would not fit on.
bool may_use_amx() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023;
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace ebb::kernels

#endif
