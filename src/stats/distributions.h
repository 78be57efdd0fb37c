// Distribution functions by name, so that Boost.Math is included in one source file only.
// Requires everywhere: finite arguments, df > 0, probabilities strictly between 0 and 1.
#pragma once

#include <cstddef>

namespace ebb::stats {

double normal_cdf(double z);
double normal_upper(double z);  // 1 - cdf without cancellation
double normal_quantile(double p);

double t_cdf(double t, double df);
double t_upper(double t, double df);
double t_quantile(double p, double df);
// 2 P(T > |t|).
double t_two_sided(double t, double df);

double binomial_cdf(size_t k, size_t n, double p);
double binomial_pmf(size_t k, size_t n, double p);
double beta_quantile(double p, double a, double b);

double noncentral_t_cdf(double t, double df, double noncentrality);
double noncentral_t_upper(double t, double df, double noncentrality);
// The noncentrality with cdf(t) = p, by bisection to full precision.
double noncentrality_for(double t, double df, double p);

// Hedges' correction J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)); df > 1.
double hedges_correction(double df);

}  // namespace ebb::stats
