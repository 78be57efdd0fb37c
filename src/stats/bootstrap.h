// Cluster bootstrap: whole conversations are drawn with replacement, so that everything measured in
// one conversation stays together. BCa intervals (Efron 1987), percentile where BCa cannot work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/checks.h"

namespace ebb::stats {

enum class BootstrapMethod { kBca, kPercentile };

struct BootstrapOptions {
  double confidence = 0.95;
  size_t n_draws = 9'999;
  BootstrapMethod method = BootstrapMethod::kBca;
  uint64_t seed = 0;
  uint64_t stream = 0;  // keeps quantities apart: a key made from the contrast's name
  // Draws made elsewhere, [n_draws][n_clusters]; they replace seed, stream and n_draws.
  std::span<const uint32_t> drawn = {};
};

struct BootstrapResult {
  double estimate = 0;
  std::optional<Interval> interval =
      {};                     // nothing for one cluster, or when most draws are undefined
  double standard_error = 0;  // sd over the draws
  std::string method = {};    // "BCa, 9999 draws" or "percentile, 9999 draws"
  std::string note = {};      // why it is not what was asked for
  size_t n_undefined = 0;     // draws in which the statistic was NaN; left out
  double bias = 0;            // z0 of BCa; 0 for percentile
  double acceleration = 0;    // a of BCa; 0 for percentile
};

// Gets the places of clusters, with repeats; NaN where it is not defined for such a draw.
using ClusterStatistic = std::function<double(std::span<const uint32_t>)>;

// Percentile instead of BCa for fewer than 20 clusters (the acceleration is then mostly noise), or
// where bias or acceleration is not defined.  Cost: (n_draws + n_clusters) calls.
// Throws: kInternal for no cluster or when the statistic of the sample itself is NaN; kUsage for
// options.
BootstrapResult cluster_bootstrap(size_t n_clusters, const ClusterStatistic& statistic,
                                  const BootstrapOptions& options = {});

// Of the mean of one value per cluster.
BootstrapResult bootstrap_mean(std::span<const double> values,
                               const BootstrapOptions& options = {});

// The draws themselves, [n_draws][n_clusters], for statistics that want many results at once.
std::vector<uint32_t> draw_clusters(size_t n_clusters, const BootstrapOptions& options);

}  // namespace ebb::stats
