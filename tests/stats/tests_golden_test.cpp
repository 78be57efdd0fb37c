// The paired tests against scipy and statsmodels, and their rules where those say nothing.
#include <cmath>
#include <limits>

#include "base/error.h"
#include "stats/equivalence.h"
#include "stats/golden.h"
#include "stats/multiple.h"
#include "stats/paired_binary.h"
#include "stats/paired_t.h"
#include "stats/permutation.h"
#include "stats/wilcoxon.h"

namespace ebb::stats {
namespace {

TEST(Permutation, ExactAgreesWithScipy) {
  for (const auto& c : golden_cases("permutation")) {
    SCOPED_TRACE(c.at("name"));
    const TestResult result = paired_permutation(numbers(c.at("values")));
    ASSERT_TRUE(result.p);
    EXPECT_GOLDEN(*result.p, c.at("p"));
    EXPECT_EQ(result.method, "paired permutation, exact");
  }
}

TEST(Permutation, MonteCarloComesNearToExact) {
  for (const auto& c : golden_cases("permutation")) {
    SCOPED_TRACE(c.at("name"));
    const double exact = c.at("p");
    const TestResult result =
        paired_permutation(numbers(c.at("values")), {.n_exact_max = 0, .n_draws = 40'000});
    const double noise = std::sqrt(exact * (1 - exact) / 40'000) + 1.0 / 40'001;
    EXPECT_NEAR(*result.p, exact, 5 * noise);
    EXPECT_GT(*result.p, 0);
    EXPECT_EQ(result.method, "paired permutation, 40000 draws");
  }
}

TEST(Permutation, OfBinaryScoresIsExactMcNemar) {
  std::vector<double> differences(13, 1.0);
  differences.insert(differences.end(), 5, -1.0);
  differences.insert(differences.end(), 30, 0.0);
  const TestResult permutation = paired_permutation(differences);
  const TestResult counts =
      mcnemar({.both = 20, .first_only = 13, .second_only = 5, .neither = 10});
  EXPECT_NEAR(*permutation.p, *counts.p, 1e-12);
}

TEST(Permutation, SumsThatDifferByRoundingOnlyAreTies) {
  // 0.1 + 0.2 - 0.3 is not 0 in doubles: without a tolerance p would hang on the order of adding.
  const std::vector<double> differences{0.1, 0.2, 0.3, -0.3, 0.1};
  std::vector<double> reversed(differences.rbegin(), differences.rend());
  EXPECT_DOUBLE_EQ(*paired_permutation(differences).p, 18.0 / 32);
  EXPECT_DOUBLE_EQ(*paired_permutation(reversed).p, 18.0 / 32);
}

TEST(Permutation, CountsUpToFortyDifferencesExactly) {
  const std::vector<double> differences(36, 0.25);
  const TestResult result = paired_permutation(differences, {.n_exact_max = 40});
  EXPECT_DOUBLE_EQ(*result.p, std::ldexp(1.0, -35));
}

TEST(Permutation, SameSeedSameResultOtherStreamOther) {
  std::vector<double> differences;
  for (int i = 0; i < 60; ++i) differences.push_back(std::sin(i) + 0.1);
  const PermutationOptions options{.n_draws = 999, .seed = 4, .stream = 1};
  EXPECT_EQ(*paired_permutation(differences, options).p,
            *paired_permutation(differences, options).p);
  EXPECT_NE(*paired_permutation(differences, options).p,
            *paired_permutation(differences, {.n_draws = 999, .seed = 4, .stream = 2}).p);
}

TEST(PairedT, AgreesWithScipy) {
  for (const auto& c : golden_cases("paired_t")) {
    SCOPED_TRACE(c.at("name"));
    const PairedT result = paired_t(numbers(c.at("values")));
    EXPECT_GOLDEN(result.test.statistic, c.at("t"));
    EXPECT_GOLDEN(*result.test.p, c.at("p"));
    EXPECT_GOLDEN(result.interval->low, c.at("low"));
    EXPECT_GOLDEN(result.interval->high, c.at("high"));
  }
}

TEST(PairedT, EqualDifferencesHaveNoP) {
  const PairedT result = paired_t(std::vector<double>{0.3 - 0.2, 0.1, 0.4 - 0.3});
  EXPECT_FALSE(result.test.p);
  EXPECT_FALSE(result.test.is_identical);
  EXPECT_FALSE(result.test.note.empty());
}

TEST(Wilcoxon, AgreesWithScipyForBothRulesOfZeros) {
  for (const auto& c : golden_cases("wilcoxon")) {
    SCOPED_TRACE(c.at("name"));
    const std::vector<double> values = numbers(c.at("values"));
    const ZeroRule zeros = c.at("zeros") == "pratt" ? ZeroRule::kPratt : ZeroRule::kDrop;
    const auto run = [&](WilcoxonMethod method, double continuity) {
      return wilcoxon_signed_rank(values,
                                  {.zeros = zeros, .method = method, .continuity = continuity});
    };
    const TestResult normal = run(WilcoxonMethod::kNormal, 0);
    EXPECT_GOLDEN(normal.statistic, c.at("statistic"));
    EXPECT_GOLDEN(*normal.p, c.at("normal"));
    EXPECT_GOLDEN(*run(WilcoxonMethod::kNormal, 0.5).p, c.at("normal_corrected"));
    if (c.contains("exact")) {
      EXPECT_GOLDEN(*run(WilcoxonMethod::kExact, 0).p, c.at("exact"));
    }
  }
}

TEST(Wilcoxon, ChoosesExactOnlyForSmallSamplesWithoutTies) {
  std::vector<double> values;
  for (int i = 1; i <= 50; ++i) values.push_back(i % 3 == 0 ? -i : i);
  EXPECT_THAT(wilcoxon_signed_rank(values).method, testing::HasSubstr("exact"));
  values.push_back(51);
  EXPECT_THAT(wilcoxon_signed_rank(values).method, testing::HasSubstr("normal"));
  EXPECT_THAT(wilcoxon_signed_rank(std::vector<double>{1, 1, 2}).method,
              testing::HasSubstr("normal"));
  const std::vector<double> with_zero{0, 1, 2, 3};
  EXPECT_THAT(wilcoxon_signed_rank(with_zero).method, testing::HasSubstr("dropped, exact"));
  EXPECT_THAT(wilcoxon_signed_rank(with_zero, {.zeros = ZeroRule::kPratt}).method,
              testing::HasSubstr("Pratt, normal"));
}

TEST(Tests, AllZeroDifferencesAreIdenticalByConstructionWithoutP) {
  const std::vector<double> zeros(25, 0.0);
  for (const TestResult& result :
       {paired_permutation(zeros), paired_t(zeros).test, wilcoxon_signed_rank(zeros),
        mcnemar({.both = 20, .neither = 5})}) {
    SCOPED_TRACE(result.method);
    EXPECT_TRUE(result.is_identical);
    EXPECT_FALSE(result.p);
    EXPECT_EQ(result.note, "identical by construction");
    EXPECT_EQ(result.n_pairs, 25U);
  }
  const Equivalence equal = tost_t(zeros, {-0.1, 0.1});
  EXPECT_TRUE(equal.is_identical);
  EXPECT_TRUE(equal.is_equivalent);
  EXPECT_FALSE(equal.p);
}

TEST(Tests, RefuseNanAndNothing) {
  const std::vector<double> bad{1, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<double> none;
  for (const auto& values : {bad, none}) {
    EXPECT_THROW(paired_permutation(values), Error);
    EXPECT_THROW(paired_t(values), Error);
    EXPECT_THROW(wilcoxon_signed_rank(values), Error);
    EXPECT_THROW(tost_t(values, {-1, 1}), Error);
  }
  EXPECT_THROW(tost_t(std::vector<double>{1, 2}, {1, -1}), Error);
}

TEST(Equivalence, AgreesWithStatsmodels) {
  for (const auto& c : golden_cases("equivalence")) {
    SCOPED_TRACE(c.at("name"));
    const Equivalence result = tost_t(numbers(c.at("values")), {c.at("low"), c.at("high")});
    EXPECT_GOLDEN(*result.p, c.at("p"));
    EXPECT_GOLDEN(*result.p_lower, c.at("p_lower"));
    EXPECT_GOLDEN(*result.p_upper, c.at("p_upper"));
    EXPECT_GOLDEN(result.interval->low, c.at("interval")[0]);
    EXPECT_GOLDEN(result.interval->high, c.at("interval")[1]);
    const bool is_inside =
        c.at("low") < result.interval->low && result.interval->high < c.at("high");
    EXPECT_EQ(result.is_equivalent, is_inside);
  }
}

TEST(Equivalence, ByBootstrapUsesItsNinetyPercentInterval) {
  std::vector<double> differences;
  for (int i = 0; i < 40; ++i) differences.push_back(0.1 * std::sin(i));
  const Equivalence result = tost_bootstrap(differences, {-0.05, 0.05}, 0.05, {.n_draws = 2'000});
  EXPECT_TRUE(result.is_equivalent);
  EXPECT_FALSE(result.p);
  const Equivalence narrow = tost_bootstrap(differences, {-0.01, 0.01}, 0.05, {.n_draws = 2'000});
  EXPECT_FALSE(narrow.is_equivalent);
  const Equivalence t = tost_t(differences, {-0.05, 0.05});
  EXPECT_NEAR(result.interval->low, t.interval->low, 0.005);
  EXPECT_NEAR(result.interval->high, t.interval->high, 0.005);
}

TEST(McNemar, AndPairedIntervalsAgreeWithStatsmodelsAndDefinitions) {
  for (const auto& c : golden_cases("paired_binary")) {
    SCOPED_TRACE(c.at("table").dump());
    const auto t = c.at("table").get<std::vector<size_t>>();
    const PairedTable table{t[0], t[1], t[2], t[3]};
    EXPECT_GOLDEN(*mcnemar(table).p, c.at("exact"));
    EXPECT_GOLDEN(*mcnemar(table, McNemarVersion::kMidP).p, c.at("mid_p"));
    const Interval newcombe = risk_difference(table).interval;
    EXPECT_GOLDEN(newcombe.low, c.at("newcombe")[0]);
    EXPECT_GOLDEN(newcombe.high, c.at("newcombe")[1]);
    const Interval wald = risk_difference(table, RiskDifferenceMethod::kBonettPrice).interval;
    EXPECT_GOLDEN(wald.low, c.at("bonett_price")[0]);
    EXPECT_GOLDEN(wald.high, c.at("bonett_price")[1]);
    const Interval odds = discordant_odds_ratio(table)->interval;
    EXPECT_GOLDEN(odds.low, c.at("odds_interval")[0]);
    if (c.at("odds_interval")[1].is_null())
      EXPECT_TRUE(std::isinf(odds.high));
    else
      EXPECT_GOLDEN(odds.high, c.at("odds_interval")[1]);
  }
}

TEST(McNemar, IntervalsOfAPublishedExampleToThreeDigits) {
  // Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), as worked
  // out by Fagerland, Lydersen and Laake (2014).
  const PairedTable table{1, 1, 7, 12};
  const Interval newcombe = risk_difference(table).interval;
  EXPECT_NEAR(newcombe.low, -0.507, 5e-4);
  EXPECT_NEAR(newcombe.high, -0.026, 5e-4);
  const Interval wald = risk_difference(table, RiskDifferenceMethod::kBonettPrice).interval;
  EXPECT_NEAR(wald.low, -0.508, 5e-4);
  EXPECT_NEAR(wald.high, -0.013, 5e-4);
}

TEST(PairedTable, CountsAndRefusesOtherScores) {
  const PairedTable table =
      paired_table(std::vector<double>{1, 1, 0, 0, 1}, std::vector<double>{1, 0, 1, 0, 0});
  EXPECT_EQ(table.both, 1U);
  EXPECT_EQ(table.first_only, 2U);
  EXPECT_EQ(table.second_only, 1U);
  EXPECT_EQ(table.neither, 1U);
  EXPECT_THROW(paired_table(std::vector<double>{0.5}, std::vector<double>{1}), Error);
  EXPECT_THROW(paired_table(std::vector<double>{1}, std::vector<double>{1, 0}), Error);
}

TEST(Multiple, HolmAndBenjaminiHochbergAgreeWithStatsmodels) {
  for (const auto& c : golden_cases("multiple")) {
    const std::vector<double> p = numbers(c.at("p"));
    const std::vector<std::optional<double>> given(p.begin(), p.end());
    const auto holm = adjusted_p(given, Correction::kHolm);
    const auto bh = adjusted_p(given, Correction::kBenjaminiHochberg);
    const auto none = adjusted_p(given, Correction::kNone);
    for (size_t i = 0; i < p.size(); ++i) {
      EXPECT_GOLDEN(*holm[i], c.at("holm")[i]);
      EXPECT_GOLDEN(*bh[i], c.at("bh")[i]);
      EXPECT_EQ(*none[i], p[i]);
    }
  }
}

TEST(Multiple, ATestWithoutPStillCountsInTheFamily) {
  const std::vector<std::optional<double>> p{0.01, std::nullopt, 0.02};
  const auto holm = adjusted_p(p, Correction::kHolm);
  EXPECT_DOUBLE_EQ(*holm[0], 0.03);
  EXPECT_FALSE(holm[1]);
  EXPECT_DOUBLE_EQ(*holm[2], 0.04);
  EXPECT_THROW(adjusted_p(std::vector<std::optional<double>>{1.5}, Correction::kHolm), Error);
}

}  // namespace
}  // namespace ebb::stats
