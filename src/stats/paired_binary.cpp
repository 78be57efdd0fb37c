#include "stats/paired_binary.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "stats/distributions.h"
#include "stats/proportion.h"

namespace ebb::stats {
namespace {

bool as_binary(double value, size_t i) {
  if (value == 0 || value == 1) return value == 1;
  throw Error::make(ErrorKind::kInternal,
                    "paired table: found {} as value {}, expected scores of 0 or 1", value, i);
}

// Newcombe's correlation: continuity-corrected towards zero where it is positive.
double corrected_phi(const PairedTable& t) {
  const double n = real(t.n());
  const double margins = real(t.both + t.first_only) * real(t.second_only + t.neither) *
                         real(t.both + t.second_only) * real(t.first_only + t.neither);
  if (margins == 0) return 0;
  double cross = real(t.both) * real(t.neither) - real(t.first_only) * real(t.second_only);
  if (cross > 0) cross = std::max(0.0, cross - n / 2);
  return cross / std::sqrt(margins);
}

double joined(double a, double b, double phi) {
  return std::sqrt(std::max(0.0, a * a - 2 * phi * a * b + b * b));
}

Interval newcombe_interval(const PairedTable& t, double confidence) {
  const size_t n_first = t.both + t.first_only;
  const size_t n_second = t.both + t.second_only;
  const double first = real(n_first) / real(t.n());
  const double second = real(n_second) / real(t.n());
  const Interval around_first = wilson_interval(n_first, t.n(), confidence);
  const Interval around_second = wilson_interval(n_second, t.n(), confidence);
  const double phi = corrected_phi(t);
  const double difference = first - second;
  return {difference - joined(first - around_first.low, around_second.high - second, phi),
          difference + joined(around_first.high - first, second - around_second.low, phi)};
}

Interval bonett_price_interval(const PairedTable& t, double confidence) {
  const double n = real(t.n() + 2);
  const double first = real(t.first_only + 1) / n;
  const double second = real(t.second_only + 1) / n;
  const double difference = first - second;
  const double half = normal_quantile((1 + confidence) / 2) *
                      std::sqrt((first + second - difference * difference) / n);
  return {std::max(-1.0, difference - half), std::min(1.0, difference + half)};
}

double odds(double share) {
  return share >= 1 ? std::numeric_limits<double>::infinity() : share / (1 - share);
}

}  // namespace

PairedTable paired_table(std::span<const double> first, std::span<const double> second) {
  require_same_size(first.size(), second.size(), "paired table");
  PairedTable out;
  for (size_t i = 0; i < first.size(); ++i) {
    const bool a = as_binary(first[i], i);
    const bool b = as_binary(second[i], i);
    ++(a ? (b ? out.both : out.first_only) : (b ? out.second_only : out.neither));
  }
  return out;
}

TestResult mcnemar(const PairedTable& table, McNemarVersion version) {
  const std::string method =
      version == McNemarVersion::kExact ? "McNemar, exact" : "McNemar, mid-p";
  require_at_least(table.n(), 1, "McNemar test");
  const size_t n = table.n_discordant();
  if (n == 0) return identical_result(method, table.n());
  const size_t smaller = std::min(table.first_only, table.second_only);
  const double tail = 2 * binomial_cdf(smaller, n, 0.5);
  const double p = version == McNemarVersion::kExact ? tail : tail - binomial_pmf(smaller, n, 0.5);
  return {.method = method,
          .statistic = real(smaller),
          .p = std::min(1.0, p),
          .n_pairs = table.n(),
          .n_nonzero = n};
}

RiskDifference risk_difference(const PairedTable& table, RiskDifferenceMethod method,
                               double confidence) {
  require_level(confidence, "confidence", "risk difference");
  require_at_least(table.n(), 1, "risk difference");
  RiskDifference out;
  out.difference = (real(table.first_only) - real(table.second_only)) / real(table.n());
  if (method == RiskDifferenceMethod::kNewcombe) {
    out.interval = newcombe_interval(table, confidence);
    out.method = "Newcombe square-and-add";
  } else {
    out.interval = bonett_price_interval(table, confidence);
    out.method = "Wald with Bonett-Price adjustment";
  }
  return out;
}

std::optional<OddsRatio> discordant_odds_ratio(const PairedTable& table, double confidence) {
  if (table.n_discordant() == 0) return std::nullopt;
  const Interval share =
      clopper_pearson_interval(table.first_only, table.n_discordant(), confidence);
  return OddsRatio{odds(real(table.first_only) / real(table.n_discordant())),
                   {odds(share.low), odds(share.high)}};
}

}  // namespace ebb::stats
