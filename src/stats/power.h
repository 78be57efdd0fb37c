// What a study can detect, without simulation: known before anything runs, and printed then.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace ebb::stats {

enum class BinaryPower {
  kNormal,  // Connor (1987): normal approximation of McNemar's test, near tail only
  kExact,   // of the exact two-sided McNemar test, summed over the number of discordant pairs
};

struct BinaryDesign {
  size_t n_pairs = 0;
  double discordance = 0.2;  // share of pairs in which the arms differ, either way
  double alpha = 0.05;       // two-sided, already divided by the number of contrasts
  BinaryPower method = BinaryPower::kNormal;
};

// Chance to find a true difference (share of the first minus share of the second arm).
// Throws: kUsage unless |difference| <= discordance and the levels lie between 0 and 1.
double binary_power(const BinaryDesign& design, double difference);
// The smallest difference found with this power; nothing where even a difference as large as the
// discordance (all of it one way) would be missed too often.
std::optional<double> detectable_difference(const BinaryDesign& design, double power = 0.8);

// Of the two-sided paired t test, by the noncentral t; the effect is in sd of the differences
// (d_z). Requires: n_pairs >= 2.
double continuous_power(size_t n_pairs, double effect_sd, double alpha = 0.05);
double detectable_effect_sd(size_t n_pairs, double alpha = 0.05, double power = 0.8);

struct DetectionPlan {
  struct Binary {
    double discordance = 0;
    std::optional<double> normal = {};  // detectable difference of shares, by approximation
    std::optional<double> exact = {};   // and for the exact test, which needs more
  };
  size_t n_pairs = 0;
  size_t n_contrasts = 1;
  double alpha = 0.05;
  double alpha_each = 0.05;  // alpha / n_contrasts: what Holm asks of the smallest p
  double power = 0.8;
  std::vector<Binary> binary = {};           // for 10, 20 and 40 % discordance
  std::optional<double> continuous_sd = {};  // nothing for fewer than two pairs
};

DetectionPlan plan_detection(size_t n_pairs, size_t n_contrasts, double alpha = 0.05,
                             double power = 0.8);

}  // namespace ebb::stats
