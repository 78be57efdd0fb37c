// The conditional likelihood of one covariate: per cluster, the sum over all ways to choose its
// number of successes is an elementary symmetric polynomial, built up point by point together with
// its first two derivatives.
#include <cmath>
#include <vector>

#include "base/error.h"
#include "stats/clusters.h"
#include "stats/distributions.h"
#include "stats/within_slope.h"

namespace ebb::stats {
namespace {

constexpr const char* kWhere = "conditional logistic regression";

struct Stratum {
  std::vector<double> x;  // minus its mean: the likelihood does not change, the sums stay small
  size_t n_successes = 0;
  double success_x = 0;  // sum of x over successes
};

struct Likelihood {
  double value = 0;
  double score = 0;
  double information = 0;
};

std::vector<Stratum> informative_strata(std::span<const double> x, std::span<const double> y,
                                        const std::vector<std::vector<size_t>>& clusters) {
  std::vector<Stratum> out;
  for (const std::vector<size_t>& points : clusters) {
    double mean = 0;
    for (const size_t i : points) mean += x[i] / real(points.size());
    Stratum stratum;
    bool has_spread = false;
    for (const size_t i : points) {
      if (y[i] != 0 && y[i] != 1) {
        throw Error::make(ErrorKind::kInternal, "{}: found y = {}, expected 0 or 1", kWhere, y[i]);
      }
      stratum.x.push_back(x[i] - mean);
      has_spread = has_spread || x[i] != x[points.front()];
      if (y[i] == 0) continue;
      ++stratum.n_successes;
      stratum.success_x += x[i] - mean;
    }
    const bool has_both = stratum.n_successes > 0 && stratum.n_successes < points.size();
    if (has_both && has_spread) out.push_back(stratum);
  }
  return out;
}

void add_stratum(const Stratum& stratum, double slope, Likelihood& out) {
  const size_t k = stratum.n_successes;
  std::vector<double> sum(k + 1);    // E_j: over all subsets of j points, exp(slope * their x)
  std::vector<double> first(k + 1);  // its derivatives by the slope
  std::vector<double> second(k + 1);
  sum[0] = 1;
  double log_scale = 0;
  for (const double x : stratum.x) {
    const double u = std::exp(slope * x);
    for (size_t j = k; j > 0; --j) {
      second[j] += u * (second[j - 1] + 2 * x * first[j - 1] + x * x * sum[j - 1]);
      first[j] += u * (first[j - 1] + x * sum[j - 1]);
      sum[j] += u * sum[j - 1];
    }
    if (sum[k] > 1e100) {  // keep large strata in range
      for (size_t j = 0; j <= k; ++j) {
        sum[j] *= 1e-100;
        first[j] *= 1e-100;
        second[j] *= 1e-100;
      }
      log_scale += std::log(1e100);
    }
  }
  const double mean = first[k] / sum[k];
  out.value += slope * stratum.success_x - std::log(sum[k]) - log_scale;
  out.score += stratum.success_x - mean;
  out.information += second[k] / sum[k] - mean * mean;
}

Likelihood likelihood(const std::vector<Stratum>& strata, double slope) {
  Likelihood out;
  for (const Stratum& stratum : strata) add_stratum(stratum, slope, out);
  return out;
}

// Newton's method with halved steps; nothing when the slope runs away, which shows as information
// that vanishes.
std::optional<double> maximum(const std::vector<Stratum>& strata) {
  double slope = 0;
  Likelihood here = likelihood(strata, slope);
  const double enough = 1e-8 * here.information;
  for (int iteration = 0; iteration < 100; ++iteration) {
    if (!(here.information > enough)) return std::nullopt;
    double step = here.score / here.information;
    Likelihood next = likelihood(strata, slope + step);
    for (int halving = 0; halving < 40 && !(next.value >= here.value); ++halving) {
      step /= 2;
      next = likelihood(strata, slope + step);
    }
    slope += step;
    here = next;
    if (std::abs(step) <= 1e-10 * (1 + std::abs(slope))) return slope;
  }
  return std::nullopt;
}

}  // namespace

WithinSlope conditional_logit(std::span<const double> x, std::span<const double> y,
                              std::span<const uint32_t> cluster, double confidence) {
  require_level(confidence, "confidence", kWhere);
  const auto clusters = group_points(x, y, cluster, kWhere);
  const std::vector<Stratum> strata = informative_strata(x, y, clusters);
  WithinSlope out{.n_points = x.size(),
                  .n_clusters = clusters.size(),
                  .n_informative = strata.size(),
                  .method = "conditional logistic regression"};
  if (strata.empty()) {
    out.note = "no conversation has both outcomes and more than one dose";
    return out;
  }
  out.slope = maximum(strata);
  if (!out.slope) {
    out.note = "the dose separates the outcomes: the slope has no finite estimate";
    return out;
  }
  out.standard_error = 1 / std::sqrt(likelihood(strata, *out.slope).information);
  const double half = normal_quantile((1 + confidence) / 2) * *out.standard_error;
  out.interval = Interval{*out.slope - half, *out.slope + half};
  out.p = 2 * normal_upper(std::abs(*out.slope) / *out.standard_error);
  return out;
}

}  // namespace ebb::stats
