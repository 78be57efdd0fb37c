#include "stats/distributions.h"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>

namespace ebb::stats {
namespace {

namespace bm = boost::math;

double as_trials(size_t n) { return static_cast<double>(n); }

// Beyond these the series of the noncentral t needs too many terms or underflows; there the normal
// approximation of Johnson and Kraemer (1963) is good to about 1e-4.
constexpr double kNoncentralityMax = 200;

double noncentral_z(double t, double df, double noncentrality) {
  return (t * (1 - 1 / (4 * df)) - noncentrality) / std::sqrt(1 + t * t / (2 * df));
}

}  // namespace

double normal_cdf(double z) { return bm::cdf(bm::normal(), z); }
double normal_upper(double z) { return bm::cdf(bm::complement(bm::normal(), z)); }
double normal_quantile(double p) { return bm::quantile(bm::normal(), p); }

double t_cdf(double t, double df) { return bm::cdf(bm::students_t(df), t); }
double t_upper(double t, double df) { return bm::cdf(bm::complement(bm::students_t(df), t)); }
double t_quantile(double p, double df) { return bm::quantile(bm::students_t(df), p); }
double t_two_sided(double t, double df) { return 2 * t_upper(std::abs(t), df); }

double binomial_cdf(size_t k, size_t n, double p) {
  return k >= n ? 1.0 : bm::cdf(bm::binomial(as_trials(n), p), as_trials(k));
}

double binomial_pmf(size_t k, size_t n, double p) {
  return k > n ? 0.0 : bm::pdf(bm::binomial(as_trials(n), p), as_trials(k));
}

double beta_quantile(double p, double a, double b) {
  return bm::quantile(bm::beta_distribution<>(a, b), p);
}

double noncentral_t_cdf(double t, double df, double noncentrality) {
  if (std::abs(noncentrality) > kNoncentralityMax) {
    return normal_cdf(noncentral_z(t, df, noncentrality));
  }
  // The series may end a rounding error below 0.
  return std::clamp(bm::cdf(bm::non_central_t(df, noncentrality), t), 0.0, 1.0);
}

double noncentral_t_upper(double t, double df, double noncentrality) {
  if (std::abs(noncentrality) > kNoncentralityMax) {
    return normal_upper(noncentral_z(t, df, noncentrality));
  }
  return std::clamp(bm::cdf(bm::complement(bm::non_central_t(df, noncentrality), t)), 0.0, 1.0);
}

double noncentrality_for(double t, double df, double p) {
  const double half_width = 12 * std::sqrt(1 + t * t / (2 * df)) + 2;
  double low = t - half_width;  // the cdf falls as the noncentrality grows
  double high = t + half_width;
  for (int step = 0; step < 200; ++step) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (noncentral_t_cdf(t, df, middle) > p ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

double hedges_correction(double df) {
  return 1 / (std::sqrt(df / 2) * bm::tgamma_delta_ratio((df - 1) / 2, 0.5));
}

}  // namespace ebb::stats
