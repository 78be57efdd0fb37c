// Do the tests keep their promises? Under a true null hypothesis they reject as often as alpha says
// (within the binomial interval of the repetitions); a planted effect is found with the predicted
// power; intervals cover as often as they claim.
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>

#include "base/rng.h"
#include "stats/bootstrap.h"
#include "stats/compare_arms.h"
#include "stats/distributions.h"
#include "stats/golden.h"
#include "stats/paired_t.h"
#include "stats/permutation.h"
#include "stats/power.h"
#include "stats/wilcoxon.h"

namespace ebb::stats {
namespace {

constexpr uint32_t kRepetitions = 400;

// The central 99.9 % of the number of rejections when each has this chance.
Interval binomial_range(double chance, size_t n = kRepetitions) {
  size_t low = 0;
  while (binomial_cdf(low, n, chance) < 0.0005) ++low;
  size_t high = low;
  while (binomial_cdf(high, n, chance) < 0.9995) ++high;
  return {real(low), real(high)};
}

double normal_draw(const KeyedRandom& random, uint32_t repetition, uint32_t i, uint32_t use) {
  return normal_quantile(std::min(1 - 1e-12, random.uniform(repetition, i, use) + 1e-13));
}

// A sum of two level effects and noise: symmetric differences with mean `effect`.
std::vector<double> differences(uint32_t repetition, uint32_t n, double effect) {
  const KeyedRandom random(17, 0, RandomUse::kData);
  std::vector<double> out;
  for (uint32_t i = 0; i < n; ++i) out.push_back(effect + normal_draw(random, repetition, i, 0));
  return out;
}

template <typename Test>
double count_rejections(uint32_t n, double effect, double alpha, const Test& test) {
  double count = 0;
  for (uint32_t r = 0; r < kRepetitions; ++r) count += test(differences(r, n, effect)) <= alpha;
  return count;
}

TEST(Calibration, UnderTheNullTestsRejectAsOftenAsAlpha) {
  const Interval range = binomial_range(0.05);
  const auto permutation = [](const auto& d) { return *paired_permutation(d).p; };
  const auto drawn = [](const auto& d) { return *paired_permutation(d, {.n_draws = 999}).p; };
  const auto t = [](const auto& d) { return *paired_t(d).test.p; };
  const auto wilcoxon = [](const auto& d) { return *wilcoxon_signed_rank(d).p; };
  for (const double count :
       {count_rejections(18, 0, 0.05, permutation), count_rejections(40, 0, 0.05, drawn),
        count_rejections(18, 0, 0.05, t), count_rejections(30, 0, 0.05, wilcoxon)}) {
    EXPECT_GE(count, range.low);
    EXPECT_LE(count, range.high);
  }
}

// Recall of a stored study, seeds averaged: [conversation] -> first minus second arm.
std::vector<double> real_differences(const std::string& first, const std::string& second) {
  std::ifstream file(std::string(EBB_SOURCE_DIR) +
                     "/docs/results/smollm2-135m-instruct/scores.csv");
  std::map<std::string, std::map<std::string, std::pair<double, int>>> sums;  // conversation, arm
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> fields;
    std::istringstream row(line);
    for (std::string field; std::getline(row, field, ',');) fields.push_back(field);
    if (fields.size() != 6 || fields[4] != "recall") continue;
    auto& [sum, n] = sums[fields[1]][fields[2]];
    sum += std::stod(fields[5]);
    ++n;
  }
  std::vector<double> out;
  for (auto& [conversation, arms] : sums) {
    out.push_back(arms[first].first / arms[first].second -
                  arms[second].first / arms[second].second);
  }
  return out;
}

// Real scores are neither normal nor of one variance; with the labels drawn anew the null is true.
TEST(Calibration, PermutedLabelsOfRealScoresRejectAsOftenAsAlpha) {
  const std::vector<double> real_ones = real_differences("streaming", "random");
  ASSERT_GE(real_ones.size(), 16U);
  ASSERT_LT(*paired_permutation(real_ones).p, 0.01);  // as they are, the arms do differ
  const KeyedRandom random(23, 0, RandomUse::kData);
  const auto permuted = [&](uint32_t repetition) {
    std::vector<double> out = real_ones;
    for (uint32_t i = 0; i < out.size(); ++i) {
      if (random.uniform(repetition, i, 0) < 0.5) out[i] = -out[i];
    }
    return out;
  };
  double n_permutation = 0;
  double n_t = 0;
  for (uint32_t r = 0; r < kRepetitions; ++r) {
    const PermutationOptions options{.n_exact_max = 20, .n_draws = 999};
    n_permutation += *paired_permutation(permuted(r), options).p <= 0.05;
    n_t += *paired_t(permuted(r)).test.p <= 0.05;
  }
  const Interval range = binomial_range(0.05);
  EXPECT_GE(n_permutation, range.low);
  EXPECT_LE(n_permutation, range.high);
  EXPECT_LE(n_t, range.high);
}

TEST(Calibration, APlantedEffectIsFoundWithThePredictedPower) {
  const double effect = 0.5;
  const Interval range = binomial_range(continuous_power(34, effect, 0.05));
  const double t =
      count_rejections(34, effect, 0.05, [](const auto& d) { return *paired_t(d).test.p; });
  EXPECT_GE(t, range.low);
  EXPECT_LE(t, range.high);
  // The permutation test has nearly the power of t for normal differences.
  const double permutation = count_rejections(
      34, effect, 0.05, [](const auto& d) { return *paired_permutation(d, {.n_draws = 999}).p; });
  EXPECT_GE(permutation, range.low);
  EXPECT_LE(permutation, range.high);
}

// Two arms of 0/1 scores; of the first arm's passes `share` are flipped to fails in the second.
std::vector<ScoreRow> flipped_scores(uint32_t repetition, uint32_t n, double lost, double won) {
  const KeyedRandom random(23, 0, RandomUse::kData);
  std::vector<ScoreRow> rows;
  for (uint32_t i = 0; i < n; ++i) {
    const double draw = random.uniform(repetition, i);
    const double first = draw < lost ? 1 : draw < lost + won ? 0 : i % 2;
    const double second = draw < lost ? 0 : draw < lost + won ? 1 : i % 2;
    const std::string name = std::to_string(i);
    rows.push_back({name, "baseline", 0, first});
    rows.push_back({name, "treated", 0, second});
  }
  return rows;
}

double count_flipped(uint32_t n, double lost, double won) {
  const std::vector<Contrast> contrasts{{"x", "baseline", "treated", Family::kConfirmatory}};
  const CompareOptions options{.n_permutations = 999, .n_bootstraps = 20};
  double count = 0;
  for (uint32_t r = 0; r < kRepetitions; ++r) {
    const ArmRow row = compare_arms(flipped_scores(r, n, lost, won), contrasts, options).back();
    count += row.p && *row.p_corrected <= 0.05 ? 1 : 0;
  }
  return count;
}

TEST(Calibration, AFlippedShareOfScoresIsFoundWithTheExactPower) {
  const BinaryDesign design{.n_pairs = 60, .discordance = 0.25, .method = BinaryPower::kExact};
  const Interval range = binomial_range(binary_power(design, 0.15));
  const double found = count_flipped(60, 0.2, 0.05);
  EXPECT_GE(found, range.low);
  EXPECT_LE(found, range.high);
  // The null of the same discordance: a discrete test rejects at most as often as alpha.
  const Interval null = binomial_range(binary_power(design, 0));
  const double wrong = count_flipped(60, 0.125, 0.125);
  EXPECT_GE(wrong, null.low);
  EXPECT_LE(wrong, null.high);
}

TEST(Calibration, SeedsWithinAConversationDoNotMakeTheTestLiberal) {
  // Both arms share nothing but noise; each conversation shifts all seeds of an arm together, which
  // a test that took seeds for conversations would mistake for evidence.
  const KeyedRandom random(31, 0, RandomUse::kData);
  const std::vector<Contrast> contrasts{{"x", "a", "b"}};
  const CompareOptions options{.n_permutations = 499, .n_bootstraps = 10};
  double count = 0;
  for (uint32_t r = 0; r < kRepetitions; ++r) {
    std::vector<ScoreRow> rows;
    for (uint32_t i = 0; i < 12; ++i) {
      const double shift = normal_draw(random, r, i, 100);
      for (uint32_t seed = 0; seed < 6; ++seed) {
        const std::string name = std::to_string(i);
        rows.push_back({name, "a", seed, shift + 0.2 * normal_draw(random, r, i, seed)});
        rows.push_back({name, "b", seed, 0.2 * normal_draw(random, r, i, seed + 10)});
      }
    }
    count += *compare_arms(rows, contrasts, options).back().p <= 0.05 ? 1 : 0;
  }
  EXPECT_GE(count, binomial_range(0.05).low);
  EXPECT_LE(count, binomial_range(0.05).high);
}

TEST(Calibration, BootstrapIntervalsCoverNearlyTheirLevel) {
  double covered = 0;
  for (uint32_t r = 0; r < kRepetitions; ++r) {
    const BootstrapResult result =
        bootstrap_mean(differences(r, 40, 0.3), {.n_draws = 600, .seed = r});
    covered += result.interval->low <= 0.3 && 0.3 <= result.interval->high ? 1 : 0;
  }
  // BCa with 40 conversations covers about 93.5 % (it uses the plug-in variance and no t quantile).
  EXPECT_GE(covered, binomial_range(0.935).low);
  EXPECT_LE(covered, binomial_range(0.95).high);
}

}  // namespace
}  // namespace ebb::stats
