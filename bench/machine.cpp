#include "bench/machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <thread>

#include "base/platform.h"
#include "bench/contest.h"

namespace ebb::bench {
namespace {

constexpr std::array<std::string_view, 9> kTold = {"amx_bf16",    "amx_int8",    "avx2",
                                                   "avx512_bf16", "avx512_vnni", "avx512f",
                                                   "avx_vnni",    "asimd",       "fma"};

uint64_t sum_of(const std::vector<uint64_t>& values) {
  // Eight sums, so that adding never waits for an addition.
  std::array<uint64_t, 8> sums{};
  for (size_t i = 0; i + sums.size() <= values.size(); i += sums.size()) {
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += values[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

// Each thread sums an array that no cache holds; the best of a few rounds counts.
double read_bytes_per_second(int n_threads) {
  constexpr size_t kBytes = size_t{192} << 20U;
  std::vector<std::vector<uint64_t>> arrays(static_cast<size_t>(n_threads),
                                            std::vector<uint64_t>(kBytes / sizeof(uint64_t), 1));
  std::atomic<uint64_t> total = 0;
  double best = 0.0;
  for (int round = 0; round < 4; ++round) {
    const double seconds = seconds_of([&] {
      std::vector<std::jthread> threads;
      for (const auto& array : arrays) threads.emplace_back([&] { total += sum_of(array); });
    });
    best = std::max(best, static_cast<double>(kBytes) * n_threads / seconds);
  }
  return total > 0 ? best : 0.0;
}

}  // namespace

Machine describe_machine(int n_threads) {
  const platform::CpuInfo cpu = platform::cpu_info();
  Machine machine;
  machine.processor = cpu.brand.empty() ? "unknown processor" : cpu.brand;
  for (const std::string& feature : cpu.features) {
    if (std::find(kTold.begin(), kTold.end(), feature) != kTold.end()) {
      machine.vector_features.push_back(feature);
    }
  }
  machine.n_threads = n_threads;
  machine.physical_gib =
      static_cast<double>(platform::memory_status().limit_bytes) / static_cast<double>(1U << 30U);
  machine.read_bytes_per_second = read_bytes_per_second(n_threads);
  machine.products = measure_product_peak(n_threads);
  return machine;
}

std::string Machine::text() const {
  std::string out = fmt::format("{}, {} threads, {:.1f} GiB, {:.1f} GB/s read", processor,
                                n_threads, physical_gib, read_bytes_per_second / 1e9);
  if (products.per_second > 0.0) {
    out +=
        fmt::format(", {:.2f} T products/s ({})", products.per_second / 1e12, products.instruction);
  }
  return out + fmt::format("; {}", fmt::join(vector_features, " "));
}

}  // namespace ebb::bench
