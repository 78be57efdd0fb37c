// Power formulas against statsmodels and full enumeration, and what `ebb plan` shows.
#include "stats/power.h"

#include "base/error.h"
#include "stats/golden.h"

namespace ebb::stats {
namespace {

TEST(Power, AgreesWithStatsmodelsAndEnumeration) {
  for (const auto& c : golden_cases("power")) {
    SCOPED_TRACE(c.dump());
    if (c.at("kind") == "t") {
      EXPECT_GOLDEN(continuous_power(c.at("n"), c.at("effect"), c.at("alpha")), c.at("power"));
    } else if (c.at("kind") == "t_detectable") {
      EXPECT_GOLDEN(detectable_effect_sd(c.at("n"), c.at("alpha"), 0.8), c.at("effect"));
    } else {
      BinaryDesign design{
          .n_pairs = c.at("n"), .discordance = c.at("discordance"), .alpha = c.at("alpha")};
      EXPECT_GOLDEN(binary_power(design, c.at("difference")), c.at("normal"));
      design.method = BinaryPower::kExact;
      EXPECT_GOLDEN(binary_power(design, c.at("difference")), c.at("exact"));
    }
  }
}

TEST(Power, DetectableDifferenceHasTheStatedPower) {
  for (const auto method : {BinaryPower::kNormal, BinaryPower::kExact}) {
    const BinaryDesign design{.n_pairs = 300, .discordance = 0.2, .method = method};
    const double found = *detectable_difference(design, 0.8);
    EXPECT_NEAR(binary_power(design, found), 0.8, 1e-9);
    EXPECT_NEAR(found, 0.072, 0.004);
  }
}

TEST(Power, PlanSaysThatTwentyConversationsCannotShowSmallEffects) {
  const DetectionPlan plan = plan_detection(20, 3);
  EXPECT_DOUBLE_EQ(plan.alpha_each, 0.05 / 3);
  ASSERT_EQ(plan.binary.size(), 3U);
  EXPECT_FALSE(plan.binary[0].exact);  // two discordant pairs of twenty never reach alpha
  EXPECT_FALSE(plan.binary[2].exact);
  const DetectionPlan single = plan_detection(20, 1);
  ASSERT_TRUE(single.binary[2].exact);
  EXPECT_GT(*single.binary[2].exact, 0.35);
  EXPECT_GT(*single.binary[2].exact, *single.binary[2].normal);
  EXPECT_NEAR(*plan.continuous_sd, 0.80, 0.03);
  EXPECT_LT(*plan_detection(100, 3).continuous_sd, *plan_detection(100, 8).continuous_sd);
  EXPECT_FALSE(plan_detection(1, 1).continuous_sd);
}

TEST(Power, RefusesImpossibleDesigns) {
  EXPECT_THROW(binary_power({.n_pairs = 10, .discordance = 0.1}, 0.2), Error);
  EXPECT_THROW(binary_power({.n_pairs = 0}, 0.1), Error);
  EXPECT_THROW(binary_power({.n_pairs = 10, .discordance = 0}, 0), Error);
  EXPECT_THROW(continuous_power(1, 0.5), Error);
  EXPECT_THROW(plan_detection(10, 0), Error);
}

}  // namespace
}  // namespace ebb::stats
