// Linear kernels for AVX-512 with VNNI.
#include "kernels/linear_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#if defined(__clang__)
#pragma clang attribute push(                                                          \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c"))), \
    apply_to = function)
#else
// GCC 12's own intrinsics start from an undefined vector and are then warned about.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")
#endif

namespace ebb::kernels {

#include "kernels/linear_avx512.inl"        // NOLINT: its functions belong to this file's target
#include "kernels/linear_avx512_pairs.inl"  // NOLINT: the same

namespace {

constexpr KernelTable kTable = with_pairs(make_kernel_table<Avx512>());

}  // namespace

const KernelTable& avx512_vnni_kernels() { return kTable; }

}  // namespace ebb::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
