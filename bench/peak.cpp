#include "bench/peak.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "bench/contest.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ebb::bench {
namespace {

#if defined(__x86_64__)

constexpr int64_t kRounds = 20'000'000;
constexpr int kSums = 12;  // more than latency times units, so that no sum waits for itself

// Multiply-adds done.  `out` keeps the compiler from leaving them out.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) int64_t run_vnni(int32_t& out) {
  __m512i sums[kSums];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(5);
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
    asm volatile("" : "+v"(a), "+v"(b));
  }
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  int32_t lanes[16];
  _mm512_storeu_si512(lanes, sums[0]);
  out = lanes[0];
  return kRounds * kSums * 64;
}

// Pairs of 16-bit products: what processors without VNNI have.
__attribute__((target("avx2"))) int64_t run_avx2(int32_t& out) {
  __m256i sums[kSums];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi16(3);
  __m256i b = _mm256_set1_epi16(5);
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m256i& sum : sums) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    asm volatile("" : "+x"(a), "+x"(b));
  }
  for (int i = 1; i < kSums; ++i) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  out = _mm256_extract_epi32(sums[0], 0);
  return kRounds * kSums * 16;
}

#endif

double best_rate(int n_threads, const std::function<int64_t(int32_t&)>& run) {
  double best = 0.0;
  for (int round = 0; round < 4; ++round) {
    std::atomic<int64_t> n_products = 0;
    std::atomic<int32_t> sink = 0;
    const double seconds = seconds_of([&] {
      std::vector<std::jthread> threads;
      for (int i = 0; i < n_threads; ++i) {
        threads.emplace_back([&] {
          int32_t out = 0;
          n_products += run(out);
          sink += out;
        });
      }
    });
    best = std::max(best, static_cast<double>(n_products.load()) / seconds);
  }
  return best;
}

}  // namespace

ProductPeak measure_product_peak([[maybe_unused]] int n_threads) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni")) {
    return {best_rate(n_threads, run_vnni), "AVX-512 VNNI"};
  }
  if (__builtin_cpu_supports("avx2")) return {best_rate(n_threads, run_avx2), "AVX2"};
#endif
  return {};
}

}  // namespace ebb::bench
