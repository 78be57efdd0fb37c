#include "stats/agreement.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "stats/distributions.h"
#include "stats/ranks.h"

namespace ebb::stats {
namespace {

struct Shares {
  size_t n_categories = 0;
  std::vector<double> cell;  // [first * n_categories + second]
  std::vector<double> first;
  std::vector<double> second;
};

Shares shares_of(std::span<const int> first, std::span<const int> second) {
  int largest = 0;
  for (const auto side : {first, second}) {
    for (const int category : side) {
      if (category < 0 || category > 1000) {
        throw Error::make(ErrorKind::kInternal, "kappa: found category {}, expected 0 to 1000",
                          category);
      }
      largest = std::max(largest, category);
    }
  }
  const size_t k = static_cast<size_t>(largest) + 1;
  Shares out{k, std::vector<double>(k * k), std::vector<double>(k), std::vector<double>(k)};
  const double weight = 1 / real(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    const auto a = static_cast<size_t>(first[i]);
    const auto b = static_cast<size_t>(second[i]);
    out.cell[a * k + b] += weight;
    out.first[a] += weight;
    out.second[b] += weight;
  }
  return out;
}

// Fleiss, Cohen and Everitt (1969), equation 13.
double kappa_variance(const Shares& shares, double kappa, double expected, double n) {
  const size_t k = shares.n_categories;
  double spread = 0;
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < k; ++j) {
      const double margins = (shares.second[i] + shares.first[j]) * (1 - kappa);
      const double term = i == j ? 1 - margins : margins;
      spread += shares.cell[i * k + j] * term * term;
    }
  }
  const double centre = kappa - expected * (1 - kappa);
  return std::max(0.0, spread - centre * centre) / ((1 - expected) * (1 - expected) * n);
}

std::optional<double> correlation(std::span<const double> x, std::span<const double> y) {
  const double mean = real(x.size() + 1) / 2;  // of ranks 1..n
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
    xy += (x[i] - mean) * (y[i] - mean);
  }
  if (xx == 0 || yy == 0) return std::nullopt;
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

}  // namespace

Kappa cohens_kappa(std::span<const int> first, std::span<const int> second, double confidence) {
  require_level(confidence, "confidence", "kappa");
  require_same_size(first.size(), second.size(), "kappa");
  require_at_least(first.size(), 1, "kappa");
  const Shares shares = shares_of(first, second);
  Kappa out{.n = first.size()};
  size_t n_equal = 0;
  for (size_t i = 0; i < first.size(); ++i) n_equal += first[i] == second[i] ? 1 : 0;
  out.agreement = real(n_equal) / real(out.n);
  for (size_t i = 0; i < shares.n_categories; ++i) {
    out.expected += shares.first[i] * shares.second[i];
  }
  if (1 - out.expected < 1e-12) return out;
  out.kappa = (out.agreement - out.expected) / (1 - out.expected);
  out.standard_error = std::sqrt(kappa_variance(shares, *out.kappa, out.expected, real(out.n)));
  const double half = normal_quantile((1 + confidence) / 2) * out.standard_error;
  out.interval = Interval{*out.kappa - half, *out.kappa + half};
  return out;
}

RankCorrelation spearman(std::span<const double> x, std::span<const double> y, double confidence) {
  require_level(confidence, "confidence", "rank correlation");
  require_same_size(x.size(), y.size(), "rank correlation");
  require_finite(x, "rank correlation");
  require_finite(y, "rank correlation");
  RankCorrelation out{.n = x.size()};
  if (out.n < 2) return out;
  out.rho = correlation(average_ranks(x).of, average_ranks(y).of);
  if (!out.rho || out.n < 3) return out;
  const double r = *out.rho;
  const double df = real(out.n - 2);
  out.p = std::abs(r) >= 1 ? 0.0 : t_two_sided(r * std::sqrt(df / ((1 - r) * (1 + r))), df);
  if (out.n < 4 || std::abs(r) >= 1) return out;
  const double half =
      normal_quantile((1 + confidence) / 2) * std::sqrt((1 + r * r / 2) / real(out.n - 3));
  out.interval = Interval{std::tanh(std::atanh(r) - half), std::tanh(std::atanh(r) + half)};
  return out;
}

}  // namespace ebb::stats
