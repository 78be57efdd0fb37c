#include "stats/permutation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "stats/checks.h"

namespace ebb::stats {
namespace {

constexpr const char* kWhere = "paired permutation test";
constexpr double kTieTolerance = 1e-12;

// The sums of all sign patterns of `sizes`.
std::vector<double> signed_sums(std::span<const double> sizes) {
  std::vector<double> sums{0.0};
  for (const double size : sizes) {
    const size_t n = sums.size();
    sums.resize(2 * n);
    for (size_t i = 0; i < n; ++i) {
      sums[n + i] = sums[i] - size;
      sums[i] += size;
    }
  }
  return sums;
}

// The share of sign patterns whose sum is at least `limit` away from zero. Meets in the middle: the
// sums of one half are sorted, those of the other half look up how many partners they have.
double exact_share(std::span<const double> sizes, double limit) {
  const size_t n_left = sizes.size() / 2;
  std::vector<double> left = signed_sums(sizes.first(n_left));
  const std::vector<double> right = signed_sums(sizes.subspan(n_left));
  std::sort(left.begin(), left.end());
  double count = 0;
  for (const double sum : right) {
    const auto above = std::lower_bound(left.begin(), left.end(), limit - sum);
    const auto below = std::upper_bound(left.begin(), above, -limit - sum);
    count += static_cast<double>((left.end() - above) + (below - left.begin()));
  }
  return count / (real(left.size()) * real(right.size()));
}

// How many of the drawn sign patterns are at least as extreme.
size_t count_drawn(std::span<const double> sizes, double limit, const PermutationOptions& options) {
  const KeyedRandom random(options.seed, options.stream, RandomUse::kStatistics);
  size_t count = 0;
  for (size_t draw = 0; draw < options.n_draws; ++draw) {
    double sum = 0;
    uint64_t signs = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (i % 64 == 0)
        signs = random.u64(static_cast<uint32_t>(draw), static_cast<uint32_t>(i / 64));
      sum += (signs & 1U) != 0 ? sizes[i] : -sizes[i];
      signs >>= 1U;
    }
    count += std::abs(sum) >= limit ? 1 : 0;
  }
  return count;
}

void check(const PermutationOptions& options) {
  if (options.n_exact_max > 40) {
    throw Error::make(ErrorKind::kUsage, "{}: found n_exact_max = {}, expected at most 40", kWhere,
                      options.n_exact_max);
  }
  if (options.n_draws < 1 || options.n_draws > UINT32_MAX) {
    throw Error::make(ErrorKind::kUsage, "{}: found n_draws = {}, expected 1 to 2^32 - 1", kWhere,
                      options.n_draws);
  }
}

}  // namespace

TestResult paired_permutation(std::span<const double> differences,
                              const PermutationOptions& options) {
  check(options);
  require_at_least(differences.size(), 1, kWhere);
  require_finite(differences, kWhere);
  std::vector<double> sizes;
  double sum = 0;
  double total = 0;
  for (const double difference : differences) {
    if (difference == 0) continue;
    sizes.push_back(std::abs(difference));
    sum += difference;
    total += std::abs(difference);
  }
  if (sizes.empty()) return identical_result("paired permutation", differences.size());
  const double limit = std::abs(sum) - kTieTolerance * total;
  TestResult out{.statistic = sum / real(differences.size()),
                 .n_pairs = differences.size(),
                 .n_nonzero = sizes.size()};
  if (sizes.size() <= options.n_exact_max) {
    out.method = "paired permutation, exact";
    out.p = limit <= 0 ? 1.0 : exact_share(sizes, limit);
    return out;
  }
  out.method = fmt::format("paired permutation, {} draws", options.n_draws);
  out.p = (real(count_drawn(sizes, limit, options)) + 1) / (real(options.n_draws) + 1);
  return out;
}

}  // namespace ebb::stats
