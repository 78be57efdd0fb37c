#include "stats/dose_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "stats/bootstrap.h"
#include "stats/clusters.h"
#include "stats/descriptive.h"

namespace ebb::stats {
namespace {

constexpr const char* kWhere = "dose-response curve";
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// What one cluster adds: points and sum of y per bin.
struct ClusterBins {
  std::vector<double> n;
  std::vector<double> y;
};

std::vector<double> find_edges(std::span<const double> x, const DoseOptions& options) {
  std::vector<double> edges = options.edges;
  if (edges.empty()) {
    if (options.n_bins < 1) throw Error::make(ErrorKind::kUsage, "{}: found no bins", kWhere);
    std::vector<double> sorted(x.begin(), x.end());
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i <= options.n_bins; ++i) {
      edges.push_back(sorted_quantile(sorted, real(i) / real(options.n_bins)));
    }
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    if (edges.size() == 1) edges.push_back(edges.front());  // a constant dose: one bin
    return edges;
  }
  require_finite(edges, kWhere);
  for (size_t i = 1; i < edges.size(); ++i) {
    if (edges[i - 1] < edges[i]) continue;
    throw Error::make(ErrorKind::kUsage, "{}: found edge {} after {}, expected ascending edges",
                      kWhere, edges[i], edges[i - 1]);
  }
  const auto [least, most] = std::minmax_element(x.begin(), x.end());
  if (edges.size() < 2 || *least < edges.front() || *most > edges.back()) {
    throw Error::make(ErrorKind::kUsage, "{}: found doses from {} to {} outside the {} edges",
                      kWhere, *least, *most, edges.size());
  }
  return edges;
}

size_t bin_of(double x, const std::vector<double>& edges) {
  const auto above = std::upper_bound(edges.begin(), edges.end(), x);
  const auto place = static_cast<size_t>(above - edges.begin());
  return std::clamp<size_t>(place, 1, edges.size() - 1) - 1;
}

// Solves a symmetric positive definite system in place by Cholesky; false where it is singular.
bool solve(std::vector<double>& a, std::vector<double>& b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j && !(sum > 1e-9 * a[i * n + i])) return false;
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
    for (size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

// The bins' effects beside the conversations' own levels; NaN where they are not linked. Normal
// equations of "y = conversation + bin" with the conversations eliminated; "the effects have mean
// zero over the points" is added as one more squared term, which the others cannot disagree with.
std::vector<double> within_levels(const std::vector<ClusterBins>& clusters,
                                  std::span<const uint32_t> places,
                                  const std::vector<size_t>& filled, double mean) {
  const size_t k = filled.size();
  std::vector<double> a(k * k);
  std::vector<double> b(k);
  std::vector<double> share(k);
  double n_points = 0;
  for (const uint32_t place : places) {
    const ClusterBins& c = clusters[place];
    double n = 0;
    double y = 0;
    for (const size_t bin : filled) {
      n += c.n[bin];
      y += c.y[bin];
    }
    n_points += n;
    for (size_t i = 0; i < k; ++i) {
      const double n_i = c.n[filled[i]];
      if (n_i == 0) continue;
      share[i] += n_i;
      a[i * k + i] += n_i;
      b[i] += c.y[filled[i]] - n_i * y / n;
      for (size_t j = 0; j < k; ++j) a[i * k + j] -= n_i * c.n[filled[j]] / n;
    }
  }
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < k; ++j) a[i * k + j] += share[i] * share[j] / n_points;
  }
  if (!solve(a, b)) return std::vector<double>(k, kUndefined);
  for (double& level : b) level += mean;
  return b;
}

// The curve of one draw of clusters: [n_bins], NaN where undefined.
std::vector<double> curve_of(const std::vector<ClusterBins>& clusters,
                             std::span<const uint32_t> places, const DoseOptions& options) {
  const size_t n_bins = clusters.front().n.size();
  std::vector<double> n(n_bins);
  std::vector<double> y(n_bins);
  double total_n = 0;
  double total_y = 0;
  for (const uint32_t place : places) {
    for (size_t bin = 0; bin < n_bins; ++bin) {
      n[bin] += clusters[place].n[bin];
      y[bin] += clusters[place].y[bin];
      total_n += clusters[place].n[bin];
      total_y += clusters[place].y[bin];
    }
  }
  std::vector<size_t> filled;
  std::vector<double> weights;
  std::vector<double> levels;
  for (size_t bin = 0; bin < n_bins; ++bin) {
    if (n[bin] == 0) continue;
    filled.push_back(bin);
    weights.push_back(n[bin]);
    levels.push_back(y[bin] / n[bin]);
  }
  if (options.level == CurveLevel::kWithin) {
    levels = within_levels(clusters, places, filled, total_y / total_n);
  }
  if (options.shape != CurveShape::kFree && std::isfinite(levels.front())) {
    levels = isotonic(levels, weights, options.shape);
  }
  std::vector<double> out(n_bins, kUndefined);
  for (size_t i = 0; i < filled.size(); ++i) out[filled[i]] = levels[i];
  return out;
}

// Pointwise percentile intervals over draws of whole clusters.
void add_intervals(const std::vector<ClusterBins>& clusters, const DoseOptions& options,
                   std::vector<DoseBin>& bins) {
  const BootstrapOptions draw_options{.confidence = options.confidence,
                                      .n_draws = options.n_draws,
                                      .seed = options.seed,
                                      .stream = options.stream,
                                      .drawn = options.drawn};
  const std::vector<uint32_t> drawn = draw_clusters(clusters.size(), draw_options);
  const size_t n_draws = drawn.size() / clusters.size();
  std::vector<std::vector<double>> values(bins.size());
  for (size_t row = 0; row < n_draws; ++row) {
    const auto places = std::span(drawn).subspan(row * clusters.size(), clusters.size());
    const std::vector<double> curve = curve_of(clusters, places, options);
    for (size_t bin = 0; bin < bins.size(); ++bin) {
      if (std::isfinite(curve[bin])) values[bin].push_back(curve[bin]);
    }
  }
  for (size_t bin = 0; bin < bins.size(); ++bin) {
    // Half of the draws or more without this bin: an interval would describe the other half only.
    if (!bins[bin].y || 2 * values[bin].size() <= n_draws) continue;
    std::sort(values[bin].begin(), values[bin].end());
    bins[bin].interval = Interval{sorted_quantile(values[bin], (1 - options.confidence) / 2),
                                  sorted_quantile(values[bin], (1 + options.confidence) / 2)};
  }
}

}  // namespace

DoseResponse dose_response(std::span<const double> x, std::span<const double> y,
                           std::span<const uint32_t> cluster, const DoseOptions& options) {
  require_level(options.confidence, "confidence", kWhere);
  const auto groups = group_points(x, y, cluster, kWhere);
  const std::vector<double> edges = find_edges(x, options);
  const size_t n_bins = edges.size() - 1;
  DoseResponse out{.slope = within_slope(x, y, cluster, options.confidence)};
  std::vector<ClusterBins> clusters;
  out.bins.resize(n_bins);
  for (const std::vector<size_t>& points : groups) {
    ClusterBins sums{std::vector<double>(n_bins), std::vector<double>(n_bins)};
    for (const size_t i : points) {
      const size_t bin = bin_of(x[i], edges);
      if (sums.n[bin] == 0) ++out.bins[bin].n_clusters;
      sums.n[bin] += 1;
      sums.y[bin] += y[i];
      ++out.bins[bin].n_points;
      out.bins[bin].mean_x += x[i];
    }
    clusters.push_back(std::move(sums));
  }
  std::vector<uint32_t> everyone(clusters.size());
  for (size_t i = 0; i < everyone.size(); ++i) everyone[i] = static_cast<uint32_t>(i);
  const std::vector<double> curve = curve_of(clusters, everyone, options);
  for (size_t bin = 0; bin < n_bins; ++bin) {
    DoseBin& one = out.bins[bin];
    one.low = edges[bin];
    one.high = edges[bin + 1];
    if (one.n_points > 0) one.mean_x /= real(one.n_points);
    if (std::isfinite(curve[bin])) one.y = curve[bin];
  }
  if (clusters.size() > 1) add_intervals(clusters, options, out.bins);
  out.method = fmt::format("{} bins{}, percentile cluster bootstrap",
                           options.level == CurveLevel::kWithin ? "within-conversation" : "pooled",
                           options.shape == CurveShape::kFree ? "" : " made monotone");
  return out;
}

std::vector<double> isotonic(std::span<const double> y, std::span<const double> weights,
                             CurveShape shape) {
  require_same_size(y.size(), weights.size(), "isotonic regression");
  const double sign = shape == CurveShape::kDecreasing ? -1 : 1;
  struct Block {
    double mean = 0;
    double weight = 0;
    size_t n = 0;
  };
  if (shape == CurveShape::kFree) return {y.begin(), y.end()};
  std::vector<Block> blocks;
  for (size_t i = 0; i < y.size(); ++i) {
    blocks.push_back({sign * y[i], weights[i], 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean >= blocks.back().mean) {
      const Block last = blocks.back();
      blocks.pop_back();
      Block& before = blocks.back();
      before.mean =
          (before.mean * before.weight + last.mean * last.weight) / (before.weight + last.weight);
      before.weight += last.weight;
      before.n += last.n;
    }
  }
  std::vector<double> out;
  for (const Block& block : blocks) out.insert(out.end(), block.n, sign * block.mean);
  return out;
}

}  // namespace ebb::stats
