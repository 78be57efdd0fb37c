#include "emulated_matrix.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdlib>
#include <cstring>

#include "kernels/packed_block.h"

namespace ebb::kernels {

#include "kernels/linear_matrix.inl"  // NOLINT: its functions are of a target of their own

namespace {

// As strict as the processor: using a tile before configure() or after release() ends the program.
struct EmulatedTiles {
  static thread_local bool is_ready;
  static thread_local uint8_t tiles[8][16][64];

  static void configure() { is_ready = true; }
  static void release() { is_ready = false; }
  static void check() {
    if (!is_ready) std::abort();
  }

  template <int kTile>
  static void zero() {
    check();
    std::memset(tiles[kTile], 0, sizeof tiles[kTile]);
  }
  template <int kTile>
  static void load(const void* p) {
    check();
    std::memcpy(tiles[kTile], p, sizeof tiles[kTile]);
  }
  template <int kTile>
  static void store(void* p) {
    check();
    std::memcpy(p, tiles[kTile], sizeof tiles[kTile]);
  }
  static float number(int tile, size_t row, size_t at) {
    uint16_t bits = 0;
    std::memcpy(&bits, tiles[tile][row] + 2 * at, sizeof bits);
    return bf16_to_float(bits);
  }
  template <int kSum, int kA, int kB>
  static void multiply() {
    check();
    for (size_t m = 0; m < 16; ++m) {
      for (size_t n = 0; n < 16; ++n) {
        float sum = 0.0F;
        std::memcpy(&sum, tiles[kSum][m] + 4 * n, sizeof sum);
        for (size_t k = 0; k < 32; ++k) {
          sum += number(kA, m, k) * number(kB, k / 2, 2 * n + k % 2);
        }
        std::memcpy(tiles[kSum][m] + 4 * n, &sum, sizeof sum);
      }
    }
  }
};
thread_local bool EmulatedTiles::is_ready = false;
thread_local uint8_t EmulatedTiles::tiles[8][16][64];

constexpr MatrixKernels kMatrix = make_matrix_kernels<EmulatedTiles>();

}  // namespace

const MatrixKernels& emulated_matrix_kernels() { return kMatrix; }

bool can_emulate_matrix() {
  return can_run(Isa::kAvx512Vnni) && __builtin_cpu_supports("avx512bf16") != 0;
}

}  // namespace ebb::kernels

#endif
