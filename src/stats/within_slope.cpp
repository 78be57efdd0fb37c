#include "stats/within_slope.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "stats/clusters.h"
#include "stats/distributions.h"

namespace ebb::stats {
namespace {

// Sums of one cluster after its means are taken out.
struct Demeaned {
  double xx = 0;
  double xy = 0;
};

std::vector<Demeaned> demeaned_sums(std::span<const double> x, std::span<const double> y,
                                    const std::vector<std::vector<size_t>>& clusters) {
  std::vector<Demeaned> out;
  for (const std::vector<size_t>& points : clusters) {
    double mean_x = 0;
    double mean_y = 0;
    double largest = 0;
    for (const size_t i : points) {
      mean_x += x[i] / real(points.size());
      mean_y += y[i] / real(points.size());
      largest = std::max(largest, std::abs(x[i]));
    }
    Demeaned sums;
    for (const size_t i : points) {
      sums.xx += (x[i] - mean_x) * (x[i] - mean_x);
      sums.xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    // A constant x leaves nothing but rounding.
    if (sums.xx <= 1e-24 * largest * largest * real(points.size())) sums = {};
    out.push_back(sums);
  }
  return out;
}

// CR2 for one regressor with the cluster means absorbed: the leverage block of a cluster has rank
// one, so its adjustment matrix scales the cluster's score by (1 - h)^(-1/2), h = xx_g / xx.
void add_cr2(const std::vector<Demeaned>& sums, double total_xx, double confidence,
             WithinSlope& out) {
  double variance = 0;
  double trace = 0;
  double squares = 0;  // sum over all pairs of clusters of P_gh^2 (Satterthwaite)
  double paired = 0;
  double own = 0;
  for (const Demeaned& g : sums) {
    const double leverage = g.xx / total_xx;
    const double score = g.xy - *out.slope * g.xx;
    variance += score * score / (1 - leverage) / (total_xx * total_xx);
    // P_gh = [g = h] a_g - b_g b_h with a_g = c^2 xx_g, b_g = c xx_g / sqrt(xx), c = (1 -
    // h)^(-1/2).
    const double a = g.xx / (1 - leverage);
    const double b2 = g.xx * g.xx / ((1 - leverage) * total_xx);
    trace += a - b2;
    own += (a - b2) * (a - b2) - b2 * b2;
    paired += b2;
  }
  squares = own + paired * paired;
  out.standard_error = std::sqrt(variance);
  out.df = trace * trace / squares;
  const double half = t_quantile((1 + confidence) / 2, out.df) * *out.standard_error;
  out.interval = Interval{*out.slope - half, *out.slope + half};
  if (*out.standard_error > 0)
    out.p = t_two_sided(*out.slope / *out.standard_error, out.df);
  else
    out.note = "every point lies on the line: no test";
}

}  // namespace

WithinSlope within_slope(std::span<const double> x, std::span<const double> y,
                         std::span<const uint32_t> cluster, double confidence) {
  require_level(confidence, "confidence", "slope within conversations");
  const auto clusters = group_points(x, y, cluster, "slope within conversations");
  WithinSlope out{.n_points = x.size(),
                  .n_clusters = clusters.size(),
                  .method = "within-conversation least squares, CR2"};
  const std::vector<Demeaned> sums = demeaned_sums(x, y, clusters);
  double total_xx = 0;
  double total_xy = 0;
  for (const Demeaned& g : sums) {
    total_xx += g.xx;
    total_xy += g.xy;
    out.n_informative += g.xx > 0 ? 1 : 0;
  }
  if (out.n_informative == 0) {
    out.note = "x does not vary within any conversation";
    return out;
  }
  out.slope = total_xy / total_xx;
  if (out.n_informative < 2) {
    out.note = "x varies within one conversation only: no standard error";
    return out;
  }
  add_cr2(sums, total_xx, confidence, out);
  return out;
}

}  // namespace ebb::stats
