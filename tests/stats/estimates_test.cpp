// Descriptives, intervals, effect sizes, bootstrap, agreement and dose-response against goldens.
#include <cmath>
#include <limits>

#include "base/error.h"
#include "stats/agreement.h"
#include "stats/bootstrap.h"
#include "stats/descriptive.h"
#include "stats/distributions.h"
#include "stats/dose_response.h"
#include "stats/effect_size.h"
#include "stats/golden.h"
#include "stats/proportion.h"

namespace ebb::stats {
namespace {

TEST(Descriptive, AgreesWithNumpyAndStatsmodels) {
  for (const auto& c : golden_cases("descriptive")) {
    SCOPED_TRACE(c.at("name"));
    const std::vector<double> values = numbers(c.at("values"));
    const Summary summary = summarize(values);
    EXPECT_GOLDEN(summary.mean, c.at("mean"));
    EXPECT_GOLDEN(summary.sd, c.at("sd"));
    EXPECT_GOLDEN(summary.standard_error, c.at("se"));
    EXPECT_GOLDEN(mean_interval_t(summary)->low, c.at("low"));
    EXPECT_GOLDEN(mean_interval_t(summary)->high, c.at("high"));
    for (const auto& q : c.at("quantiles")) EXPECT_GOLDEN(quantile(values, q[0]), q[1]);
  }
}

TEST(Descriptive, EqualValuesHaveNoSpreadAndOneValueNoInterval) {
  const Summary summary = summarize(std::vector<double>(7, 0.1));
  EXPECT_EQ(summary.mean, 0.1);
  EXPECT_EQ(summary.sd, 0);
  EXPECT_FALSE(mean_interval_t(summarize(std::vector<double>{3})));
  EXPECT_THROW(quantile(std::vector<double>{1}, 1.5), Error);
  EXPECT_THROW(summarize(std::vector<double>{std::numeric_limits<double>::infinity()}), Error);
}

TEST(Proportion, WilsonAndClopperPearsonAgreeWithStatsmodels) {
  for (const auto& c : golden_cases("proportion")) {
    const Interval wilson = wilson_interval(c.at("passed"), c.at("n"), c.at("confidence"));
    EXPECT_GOLDEN(wilson.low, c.at("wilson")[0]);
    EXPECT_GOLDEN(wilson.high, c.at("wilson")[1]);
    const Interval exact = clopper_pearson_interval(c.at("passed"), c.at("n"), c.at("confidence"));
    EXPECT_GOLDEN(exact.low, c.at("clopper_pearson")[0]);
    EXPECT_GOLDEN(exact.high, c.at("clopper_pearson")[1]);
  }
  EXPECT_THROW(wilson_interval(3, 2), Error);
}

TEST(Distributions, NoncentralTAgreesWithNumericalIntegration) {
  for (const auto& c : golden_cases("distributions")) {
    SCOPED_TRACE(c.dump());
    const double cdf = noncentral_t_cdf(c.at("t"), c.at("df"), c.at("ncp"));
    EXPECT_GOLDEN(cdf, c.at("cdf"));
    EXPECT_NEAR(noncentral_t_upper(c.at("t"), c.at("df"), c.at("ncp")), 1 - cdf, 1e-9);
  }
}

TEST(EffectSize, AndItsNoncentralIntervalAgreeWithScipy) {
  for (const auto& c : golden_cases("effect_size")) {
    SCOPED_TRACE(c.at("name"));
    const auto effect = paired_effect(numbers(c.at("values")));
    ASSERT_TRUE(effect);
    EXPECT_GOLDEN(effect->d_z, c.at("d_z"));
    EXPECT_GOLDEN(effect->hedges_g, c.at("g"));
    EXPECT_GOLDEN(effect->d_z_interval.low, c.at("d_z_interval")[0]);
    EXPECT_GOLDEN(effect->d_z_interval.high, c.at("d_z_interval")[1]);
  }
}

TEST(EffectSize, IsAbsentWithoutSpreadAndFiniteForHugeEffects) {
  EXPECT_FALSE(paired_effect(std::vector<double>{0.3 - 0.2, 0.1}));
  EXPECT_FALSE(paired_effect(std::vector<double>{1}));
  EXPECT_FALSE(paired_effect(std::vector<double>(5, 0.0)));
  std::vector<double> huge;
  for (int i = 0; i < 100; ++i) huge.push_back(100 + std::sin(i));
  const auto effect = paired_effect(huge);
  EXPECT_LT(effect->d_z_interval.low, effect->d_z);
  EXPECT_GT(effect->d_z_interval.high, effect->d_z);
  EXPECT_EQ(effect->interval_method, "normal approximation");
}

TEST(Bootstrap, AgreesWithScipyOnTheSameDraws) {
  for (const auto& c : golden_cases("bootstrap")) {
    if (c.at("name") == "clusters") continue;
    SCOPED_TRACE(c.at("name"));
    const std::vector<double> values = numbers(c.at("values"));
    const auto drawn = c.at("drawn").get<std::vector<uint32_t>>();
    const BootstrapResult bca = bootstrap_mean(values, {.drawn = drawn});
    const BootstrapResult plain =
        bootstrap_mean(values, {.method = BootstrapMethod::kPercentile, .drawn = drawn});
    EXPECT_GOLDEN(plain.interval->low, c.at("percentile")[0]);
    EXPECT_GOLDEN(plain.interval->high, c.at("percentile")[1]);
    EXPECT_GOLDEN(plain.standard_error, c.at("se"));
    const char* expected = values.size() < 20 ? "percentile" : "BCa";
    EXPECT_GOLDEN(bca.interval->low, c.at(expected)[0]);
    EXPECT_GOLDEN(bca.interval->high, c.at(expected)[1]);
    EXPECT_EQ(bca.method, std::string(expected) + ", 400 draws");
    EXPECT_EQ(bca.note.empty(), values.size() >= 20);
  }
}

TEST(Bootstrap, DrawsWholeClusters) {
  const auto cases = golden_cases("bootstrap");
  const auto& c = cases.back();
  ASSERT_EQ(c.at("name"), "clusters");
  const std::vector<double> sums = numbers(c.at("sums"));
  const std::vector<double> sizes = numbers(c.at("sizes"));
  const auto drawn = c.at("drawn").get<std::vector<uint32_t>>();
  const auto pooled = [&](std::span<const uint32_t> places) {
    double sum = 0;
    double size = 0;
    for (const uint32_t place : places) {
      sum += sums[place];
      size += sizes[place];
    }
    return sum / size;
  };
  const BootstrapResult result = cluster_bootstrap(sums.size(), pooled, {.drawn = drawn});
  EXPECT_GOLDEN(result.interval->low, c.at("BCa")[0]);
  EXPECT_GOLDEN(result.interval->high, c.at("BCa")[1]);
}

TEST(Bootstrap, SaysWhenItFallsBackToPercentile) {
  const BootstrapResult constant = bootstrap_mean(std::vector<double>(30, 2.0), {.n_draws = 50});
  EXPECT_EQ(constant.method, "percentile, 50 draws");
  EXPECT_THAT(constant.note, testing::HasSubstr("degenerate"));
  EXPECT_EQ(constant.interval->low, 2.0);
  EXPECT_EQ(constant.interval->high, 2.0);
  EXPECT_FALSE(bootstrap_mean(std::vector<double>{1}).interval);
}

TEST(Bootstrap, IsRepeatableAndCoversAboutItsLevel) {
  std::vector<double> values;
  for (int i = 0; i < 60; ++i) values.push_back(std::sin(7.0 * i));
  const auto a = bootstrap_mean(values, {.n_draws = 2'000, .seed = 1, .stream = 5});
  const auto b = bootstrap_mean(values, {.n_draws = 2'000, .seed = 1, .stream = 5});
  EXPECT_EQ(a.interval->low, b.interval->low);
  const auto other = bootstrap_mean(values, {.n_draws = 2'000, .seed = 1, .stream = 6});
  EXPECT_NE(a.interval->low, other.interval->low);
  const Interval t = *mean_interval_t(summarize(values));
  EXPECT_NEAR(a.interval->low, t.low, 0.02);
  EXPECT_NEAR(a.interval->high, t.high, 0.02);
}

TEST(Bootstrap, LeavesUndefinedDrawsOutAndCountsThem) {
  const auto statistic = [](std::span<const uint32_t> places) {
    const bool has_first = std::find(places.begin(), places.end(), 0U) != places.end();
    return has_first ? static_cast<double>(places[0]) : std::nan("");
  };
  const BootstrapResult some = cluster_bootstrap(30, statistic, {.n_draws = 500});
  EXPECT_GT(some.n_undefined, 100U);
  EXPECT_LT(some.n_undefined, 250U);
  EXPECT_TRUE(some.interval);
  const std::vector<uint32_t> wrong{0, 31};
  EXPECT_THROW(cluster_bootstrap(2, statistic, {.drawn = wrong}), Error);
}

TEST(Agreement, KappaAndSpearmanAgreeWithStatsmodelsAndScipy) {
  for (const auto& c : golden_cases("agreement")) {
    if (c.at("kind") == "kappa") {
      const Kappa kappa = cohens_kappa(c.at("first").get<std::vector<int>>(),
                                       c.at("second").get<std::vector<int>>());
      EXPECT_GOLDEN(*kappa.kappa, c.at("kappa"));
      EXPECT_GOLDEN(kappa.standard_error, c.at("se"));
      EXPECT_GOLDEN(kappa.interval->low, c.at("low"));
      EXPECT_GOLDEN(kappa.interval->high, c.at("high"));
    } else {
      const RankCorrelation rho = spearman(numbers(c.at("x")), numbers(c.at("y")));
      EXPECT_GOLDEN(*rho.rho, c.at("rho"));
      EXPECT_GOLDEN(*rho.p, c.at("p"));
    }
  }
}

TEST(Agreement, IsUndefinedWhereNothingVaries) {
  EXPECT_FALSE(cohens_kappa(std::vector<int>{1, 1, 1}, std::vector<int>{1, 1, 1}).kappa);
  EXPECT_FALSE(spearman(std::vector<double>{1, 1, 1}, std::vector<double>{1, 2, 3}).rho);
  EXPECT_THROW(cohens_kappa(std::vector<int>{-1}, std::vector<int>{0}), Error);
}

TEST(WithinSlope, AgreesWithDenseAlgebraAndConditionalLogitWithStatsmodels) {
  for (const auto& c : golden_cases("dose_response")) {
    if (c.at("name") == "isotonic") continue;
    SCOPED_TRACE(c.at("name"));
    const std::vector<double> x = numbers(c.at("x"));
    const auto cluster = c.at("cluster").get<std::vector<uint32_t>>();
    const WithinSlope linear = within_slope(x, numbers(c.at("y")), cluster);
    EXPECT_GOLDEN(*linear.slope, c.at("slope"));
    EXPECT_GOLDEN(*linear.standard_error, c.at("se"));
    EXPECT_GOLDEN(linear.df, c.at("df"));
    const WithinSlope logit = conditional_logit(x, numbers(c.at("passed")), cluster);
    EXPECT_GOLDEN(*logit.slope, c.at("logit"));
    EXPECT_GOLDEN(*logit.standard_error, c.at("logit_se"));
  }
}

TEST(WithinSlope, SaysWhyItIsUndefined) {
  const std::vector<double> y{0, 1, 0, 1};
  const std::vector<uint32_t> cluster{0, 0, 1, 1};
  const WithinSlope constant = within_slope(std::vector<double>{1, 1, 2, 2}, y, cluster);
  EXPECT_FALSE(constant.slope);
  EXPECT_EQ(constant.n_informative, 0U);
  const WithinSlope single = within_slope(std::vector<double>{0, 1, 2, 2}, y, cluster);
  EXPECT_DOUBLE_EQ(*single.slope, 1);
  EXPECT_FALSE(single.standard_error);
  const WithinSlope separated = conditional_logit(std::vector<double>{0, 1, 0, 1}, y, cluster);
  EXPECT_FALSE(separated.slope);
  EXPECT_THAT(separated.note, testing::HasSubstr("separates"));
}

TEST(DoseResponse, CurveAndIntervalsAgreeWithLeastSquaresOnTheSameDraws) {
  const auto cases = golden_cases("dose_response");
  const auto& c = cases.front();
  const std::vector<double> y = numbers(c.at("y"));
  const auto drawn = c.at("drawn").get<std::vector<uint32_t>>();
  const DoseResponse result =
      dose_response(numbers(c.at("x")), y, c.at("cluster").get<std::vector<uint32_t>>(),
                    {.edges = numbers(c.at("edges")), .drawn = drawn});
  ASSERT_EQ(result.bins.size(), 5U);
  for (size_t bin = 0; bin < 5; ++bin) {
    EXPECT_GOLDEN(*result.bins[bin].y, c.at("curve")[bin]);
    EXPECT_GOLDEN(result.bins[bin].interval->low, c.at("low")[bin]);
    EXPECT_GOLDEN(result.bins[bin].interval->high, c.at("high")[bin]);
  }
  EXPECT_GOLDEN(*result.slope.slope, c.at("slope"));
}

TEST(DoseResponse, PooledCurveIsPlainMeansAndMonotoneCurveIsIsotonic) {
  const std::vector<double> x{0.1, 0.2, 0.6, 0.7, 0.15, 0.65};
  const std::vector<double> y{1, 2, 0, 1, 6, 5};
  const std::vector<uint32_t> cluster{0, 0, 0, 0, 1, 1};
  DoseOptions options{.edges = {0, 0.5, 1}, .level = CurveLevel::kPooled, .n_draws = 100};
  const DoseResponse free = dose_response(x, y, cluster, options);
  EXPECT_DOUBLE_EQ(*free.bins[0].y, 3);
  EXPECT_DOUBLE_EQ(*free.bins[1].y, 2);
  EXPECT_NEAR(free.bins[0].mean_x, 0.15, 1e-12);
  EXPECT_EQ(free.bins[0].n_clusters, 2U);
  options.shape = CurveShape::kIncreasing;
  EXPECT_DOUBLE_EQ(*dose_response(x, y, cluster, options).bins[0].y, 2.5);
  const auto cases = golden_cases("dose_response");
  const auto& c = cases.back();
  const std::vector<double> z = numbers(c.at("y"));
  const std::vector<double> weights = numbers(c.at("weights"));
  const std::vector<double> up = isotonic(z, weights, CurveShape::kIncreasing);
  const std::vector<double> down = isotonic(z, weights, CurveShape::kDecreasing);
  for (size_t i = 0; i < z.size(); ++i) {
    EXPECT_GOLDEN(up[i], c.at("up")[i]);
    EXPECT_GOLDEN(down[i], c.at("down")[i]);
  }
}

TEST(DoseResponse, BinsThatNoConversationLinksHaveNoLevel) {
  const std::vector<double> x{0.1, 0.2, 0.8, 0.9};
  const std::vector<double> y{1, 2, 3, 4};
  const DoseResponse result =
      dose_response(x, y, std::vector<uint32_t>{0, 0, 1, 1}, {.edges = {0, 0.5, 1}, .n_draws = 50});
  EXPECT_FALSE(result.bins[0].y);
  EXPECT_THROW(dose_response(x, y, std::vector<uint32_t>{0, 0, 1, 1}, {.edges = {0, 0.5}}), Error);
  EXPECT_THROW(dose_response(x, y, std::vector<uint32_t>{0, 0, 1, 1}, {.edges = {1, 0}}), Error);
}

}  // namespace
}  // namespace ebb::stats
