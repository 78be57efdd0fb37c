#include "stats/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "stats/descriptive.h"
#include "stats/distributions.h"

namespace ebb::stats {
namespace {

constexpr const char* kWhere = "cluster bootstrap";
constexpr size_t kBcaMin = 20;

void check(size_t n_clusters, const BootstrapOptions& options) {
  require_level(options.confidence, "confidence", kWhere);
  require_at_least(n_clusters, 1, kWhere);
  if (options.n_draws < 1 || options.n_draws > UINT32_MAX) {
    throw Error::make(ErrorKind::kUsage, "{}: found n_draws = {}, expected 1 to 2^32 - 1", kWhere,
                      options.n_draws);
  }
  if (options.drawn.size() % n_clusters != 0) {
    throw Error::make(ErrorKind::kInternal, "{}: found {} drawn places, expected rows of {}",
                      kWhere, options.drawn.size(), n_clusters);
  }
  for (const uint32_t place : options.drawn) {
    if (place < n_clusters) continue;
    throw Error::make(ErrorKind::kInternal, "{}: found drawn place {}, expected less than {}",
                      kWhere, place, n_clusters);
  }
}

// One draw into `out`. The scaling is biased by less than n / 2^32.
void draw(const KeyedRandom& random, uint32_t row, std::span<uint32_t> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const uint64_t word = random.u32(row, static_cast<uint32_t>(i));
    out[i] = static_cast<uint32_t>((word * out.size()) >> 32U);
  }
}

// The statistic of every draw, without the undefined ones, sorted.
std::vector<double> sorted_draws(size_t n_clusters, const ClusterStatistic& statistic,
                                 const BootstrapOptions& options, BootstrapResult& result) {
  const bool is_given = !options.drawn.empty();
  const size_t n_draws = is_given ? options.drawn.size() / n_clusters : options.n_draws;
  const KeyedRandom random(options.seed, options.stream, RandomUse::kStatistics);
  std::vector<uint32_t> places(n_clusters);
  std::vector<double> values;
  values.reserve(n_draws);
  for (size_t row = 0; row < n_draws; ++row) {
    if (is_given) {
      const auto given = options.drawn.subspan(row * n_clusters, n_clusters);
      std::copy(given.begin(), given.end(), places.begin());
    } else {
      draw(random, static_cast<uint32_t>(row), places);
    }
    const double value = statistic(places);
    if (std::isfinite(value)) values.push_back(value);
  }
  result.n_undefined = n_draws - values.size();
  std::sort(values.begin(), values.end());
  return values;
}

// z0 and a into `result`; false where one of them is not defined.
bool find_bca(size_t n_clusters, const ClusterStatistic& statistic, std::span<const double> sorted,
              BootstrapResult& result) {
  // The percentile of the estimate, draws equal to it counted half.
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), result.estimate);
  const auto above = std::upper_bound(below, sorted.end(), result.estimate);
  const double share = static_cast<double>((below - sorted.begin()) + (above - sorted.begin())) /
                       (2 * real(sorted.size()));
  if (share <= 0 || share >= 1) return false;
  std::vector<double> left_out(n_clusters);
  std::vector<uint32_t> places(n_clusters - 1);
  for (size_t i = 0; i < n_clusters; ++i) {
    std::iota(places.begin(), places.end(), 0U);
    for (size_t k = i; k < places.size(); ++k) ++places[k];
    left_out[i] = statistic(places);
    if (!std::isfinite(left_out[i])) return false;
  }
  const double mean = std::accumulate(left_out.begin(), left_out.end(), 0.0) / real(n_clusters);
  double squares = 0;
  double cubes = 0;
  double largest = 0;
  for (const double value : left_out) {
    const double influence = mean - value;
    squares += influence * influence;
    cubes += influence * influence * influence;
    largest = std::max(largest, std::abs(value));
  }
  if (std::sqrt(squares) <= 1e-14 * largest * std::sqrt(real(n_clusters))) return false;
  result.bias = normal_quantile(share);
  result.acceleration = cubes / (6 * std::pow(squares, 1.5));
  return true;
}

// Where BCa takes its quantile instead of `p` (Efron 1987, equation 2.3).
double bca_level(double p, const BootstrapResult& result) {
  const double shifted = result.bias + normal_quantile(p);
  return normal_cdf(result.bias + shifted / (1 - result.acceleration * shifted));
}

// The levels of both ends; decides between BCa and percentile and says why.
Interval find_levels(size_t n_clusters, const ClusterStatistic& statistic,
                     std::span<const double> sorted, const BootstrapOptions& options,
                     BootstrapResult& result) {
  const Interval plain{(1 - options.confidence) / 2, (1 + options.confidence) / 2};
  result.method = fmt::format("percentile, {} draws", sorted.size() + result.n_undefined);
  if (options.method == BootstrapMethod::kPercentile) return plain;
  if (n_clusters < kBcaMin) {
    result.note = fmt::format("percentile: fewer than {} conversations", kBcaMin);
    return plain;
  }
  if (!find_bca(n_clusters, statistic, sorted, result)) {
    result.note = "percentile: BCa is not defined, the draws are degenerate";
    return plain;
  }
  const Interval levels{bca_level(plain.low, result), bca_level(plain.high, result)};
  if (!(levels.low > 0 && levels.low < levels.high && levels.high < 1)) {
    result.note = "percentile: BCa is not defined, the acceleration is too large";
    result.bias = result.acceleration = 0;
    return plain;
  }
  result.method = fmt::format("BCa, {} draws", sorted.size() + result.n_undefined);
  return levels;
}

}  // namespace

BootstrapResult cluster_bootstrap(size_t n_clusters, const ClusterStatistic& statistic,
                                  const BootstrapOptions& options) {
  check(n_clusters, options);
  std::vector<uint32_t> everyone(n_clusters);
  std::iota(everyone.begin(), everyone.end(), 0U);
  BootstrapResult out{.estimate = statistic(everyone)};
  if (!std::isfinite(out.estimate)) {
    throw Error::make(ErrorKind::kInternal, "{}: the statistic of the sample itself is {}", kWhere,
                      out.estimate);
  }
  if (n_clusters < 2) {
    out.method = "none";
    out.note = "one conversation only";
    return out;
  }
  const std::vector<double> sorted = sorted_draws(n_clusters, statistic, options, out);
  if (sorted.size() < 2 || out.n_undefined > sorted.size()) {
    out.method = "none";
    out.note = "the statistic is not defined for most draws";
    return out;
  }
  const Interval levels = find_levels(n_clusters, statistic, sorted, options, out);
  out.interval =
      Interval{sorted_quantile(sorted, levels.low), sorted_quantile(sorted, levels.high)};
  out.standard_error = summarize(sorted).sd;
  return out;
}

BootstrapResult bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
  require_finite(values, kWhere);
  const auto mean = [values](std::span<const uint32_t> places) {
    double sum = 0;
    for (const uint32_t place : places) sum += values[place];
    return sum / real(places.size());
  };
  return cluster_bootstrap(values.size(), mean, options);
}

std::vector<uint32_t> draw_clusters(size_t n_clusters, const BootstrapOptions& options) {
  check(n_clusters, options);
  if (!options.drawn.empty()) return {options.drawn.begin(), options.drawn.end()};
  const KeyedRandom random(options.seed, options.stream, RandomUse::kStatistics);
  std::vector<uint32_t> out(options.n_draws * n_clusters);
  for (size_t row = 0; row < options.n_draws; ++row) {
    draw(random, static_cast<uint32_t>(row), std::span(out).subspan(row * n_clusters, n_clusters));
  }
  return out;
}

}  // namespace ebb::stats
