// Agreement of two raters (rules and judge) and of two rankings.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "stats/checks.h"

namespace ebb::stats {

struct Kappa {
  size_t n = 0;
  double agreement = 0;  // share of equal verdicts
  double expected = 0;   // what the margins alone would give
  std::optional<double> kappa =
      {};  // absent where both raters only ever use one and the same category
  double standard_error = 0;
  std::optional<Interval> interval = {};
};

// Cohen's kappa (1960), unweighted, for any number of categories (given as integers from 0), with
// the large-sample standard error of Fleiss, Cohen and Everitt (1969).
// Throws: kInternal for no items, different sizes, or a negative or huge (> 1000) category.
Kappa cohens_kappa(std::span<const int> first, std::span<const int> second,
                   double confidence = 0.95);

struct RankCorrelation {
  size_t n = 0;
  std::optional<double> rho = {};  // absent where one side is constant
  std::optional<double> p = {};    // by t with n - 2 degrees of freedom; absent for n < 3
  // Fisher z with the variance of Bonett and Wright (2000); absent for n < 4.
  std::optional<Interval> interval = {};
};

// Spearman's rho with mean ranks for ties.
RankCorrelation spearman(std::span<const double> x, std::span<const double> y,
                         double confidence = 0.95);

}  // namespace ebb::stats
