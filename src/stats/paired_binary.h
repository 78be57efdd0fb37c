// Paired yes/no outcomes: the 2 x 2 table, McNemar's test, risk difference, odds ratio.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "stats/checks.h"
#include "stats/test_result.h"

namespace ebb::stats {

// Counts of pairs by what the first and the second arm did.
struct PairedTable {
  size_t both = 0;
  size_t first_only = 0;   // correct -> wrong, going from the first arm to the second
  size_t second_only = 0;  // wrong -> correct
  size_t neither = 0;

  size_t n() const { return both + first_only + second_only + neither; }
  size_t n_discordant() const { return first_only + second_only; }
};

// Throws: kInternal when sizes differ or a value is neither 0 nor 1.
PairedTable paired_table(std::span<const double> first, std::span<const double> second);

enum class McNemarVersion {
  kExact,  // two-sided binomial on the discordant pairs; conservative
  kMidP,   // minus half of the probability of what was observed, each side (Lancaster 1961)
};

// Without discordant pairs the arms are identical: no p.
TestResult mcnemar(const PairedTable& table, McNemarVersion version = McNemarVersion::kExact);

enum class RiskDifferenceMethod {
  kNewcombe,     // square-and-add of Wilson intervals, method 10 of Newcombe (1998)
  kBonettPrice,  // Wald after adding one to each discordant count (Bonett and Price 2012), cut
                 // to [-1, 1]
};

struct RiskDifference {
  double difference = 0;  // share of the first arm minus share of the second, never adjusted
  Interval interval = {};
  std::string method = {};
};

RiskDifference risk_difference(const PairedTable& table,
                               RiskDifferenceMethod method = RiskDifferenceMethod::kNewcombe,
                               double confidence = 0.95);

struct OddsRatio {
  double ratio = 0;  // first_only / second_only; infinite where only the first arm ever wins
  Interval interval = {};
};

// Conditional on the discordant pairs, with the interval of Clopper and Pearson carried over.
// Nothing where no pair is discordant.
std::optional<OddsRatio> discordant_odds_ratio(const PairedTable& table, double confidence = 0.95);

}  // namespace ebb::stats
