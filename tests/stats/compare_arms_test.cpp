// Rows of table 1 from scores: pairing, families, identical arms, transitions, and bad input.
#include "stats/compare_arms.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "stats/golden.h"
#include "stats/paired_t.h"

namespace ebb::stats {
namespace {

std::string name_of(size_t i) { return "c" + std::to_string(100 + i); }

void add(std::vector<ScoreRow>& rows, const std::string& arm, const std::vector<double>& scores,
         uint64_t seed = 0) {
  for (size_t i = 0; i < scores.size(); ++i) rows.push_back({name_of(i), arm, seed, scores[i]});
}

const ArmRow& row_of(const std::vector<ArmRow>& rows, const std::string& arm,
                     const std::string& contrast) {
  for (const ArmRow& row : rows) {
    if (row.arm == arm && row.contrast == contrast) return row;
  }
  throw std::out_of_range(arm + " / " + contrast);
}

const CompareOptions kQuick{.n_permutations = 2'000, .n_bootstraps = 500};

TEST(CompareArms, GivesARowPerArmAndPerContrast) {
  std::vector<ScoreRow> rows;
  add(rows, "baseline", {1, 1, 1, 0, 1, 1});
  add(rows, "streaming", {0, 1, 0, 1, 0, 0});
  add(rows, "random", {0, 0, 1, 0, 0, 0});
  const std::vector<Contrast> contrasts{
      {"baseline - streaming", "baseline", "streaming", Family::kConfirmatory},
      {"baseline - random", "baseline", "random", Family::kConfirmatory},
      {"streaming - random", "streaming", "random", Family::kExploratory, Interval{-0.1, 0.1}}};
  const std::vector<ArmRow> table = compare_arms(rows, contrasts, kQuick);
  ASSERT_EQ(table.size(), 6U);
  EXPECT_NEAR(row_of(table, "baseline", "").score.mean, 5.0 / 6, 1e-12);
  EXPECT_FALSE(row_of(table, "baseline", "").diff);

  const ArmRow& h1 = row_of(table, "streaming", "baseline - streaming");
  EXPECT_EQ(h1.n_conversations, 6U);
  EXPECT_EQ(h1.n_seeds, 1U);
  EXPECT_NEAR(h1.score.mean, 2.0 / 6, 1e-12);
  EXPECT_NEAR(h1.diff->mean, 3.0 / 6, 1e-12);
  EXPECT_EQ(*h1.c2w, 4);
  EXPECT_EQ(*h1.w2c, 1);
  EXPECT_NEAR(*h1.p, 12.0 / 32, 1e-12);  // five signs: 2 (C(5,0) + C(5,1)) / 2^5
  EXPECT_EQ(h1.test, "paired permutation, exact");
  EXPECT_EQ(h1.correction, "Holm");
  EXPECT_THAT(h1.diff->interval_method, testing::HasSubstr("percentile"));
  const ArmRow& h2 = row_of(table, "random", "baseline - random");
  EXPECT_NEAR(*h2.p, 4.0 / 16, 0.13);
  EXPECT_NEAR(std::min(*h1.p_corrected, *h2.p_corrected), 2 * std::min(*h1.p, *h2.p), 1e-12);
  const ArmRow& h3 = row_of(table, "random", "streaming - random");
  EXPECT_EQ(h3.family, Family::kExploratory);
  EXPECT_EQ(*h3.p_corrected, *h3.p);  // alone in its family
  ASSERT_TRUE(h3.equivalence);
  EXPECT_FALSE(h3.equivalence->is_equivalent);
}

TEST(CompareArms, SeedsAreAveragedAndNeverCountAsConversations) {
  std::vector<ScoreRow> one;
  std::vector<ScoreRow> repeated;
  std::vector<double> high;
  std::vector<double> low;
  for (int i = 0; i < 25; ++i) {
    high.push_back(0.6 + 0.2 * std::sin(i));
    low.push_back(0.5 + 0.2 * std::sin(3.0 * i));
  }
  add(one, "a", high);
  add(one, "b", low);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    add(repeated, "a", high, seed);
    add(repeated, "b", low, seed + 100);
  }
  const std::vector<Contrast> contrasts{{"a - b", "a", "b"}};
  const ArmRow single = compare_arms(one, contrasts, kQuick).back();
  const ArmRow many = compare_arms(repeated, contrasts, kQuick).back();
  EXPECT_EQ(many.n_conversations, 25U);
  EXPECT_EQ(many.n_seeds, 8U);
  EXPECT_EQ(*many.p, *single.p);
  EXPECT_EQ(many.diff->interval->low, single.diff->interval->low);
  EXPECT_THAT(many.diff->interval_method, testing::HasSubstr("BCa"));
}

TEST(CompareArms, EqualArmsAreIdenticalByConstructionWithoutP) {
  std::vector<ScoreRow> rows;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    add(rows, "a", {0.1 * static_cast<double>(seed), 0.7, 0.3}, seed);
    add(rows, "b", {0.1 * static_cast<double>(2 - seed), 0.7, 0.3}, seed);  // another order
  }
  add(rows, "c", {0, 0, 0});
  const std::vector<Contrast> contrasts{{"a - b", "a", "b", Family::kConfirmatory},
                                        {"a - c", "a", "c", Family::kConfirmatory}};
  const std::vector<ArmRow> table = compare_arms(rows, contrasts, kQuick);
  const ArmRow& same = row_of(table, "b", "a - b");
  EXPECT_TRUE(same.is_identical);
  EXPECT_FALSE(same.p);
  EXPECT_FALSE(same.p_corrected);
  EXPECT_FALSE(same.effect_size);
  EXPECT_EQ(same.note, "identical by construction");
  const ArmRow& other = row_of(table, "c", "a - c");
  EXPECT_NEAR(*other.p_corrected, 2 * *other.p, 1e-12);  // the family still has two members
}

TEST(CompareArms, TransitionsWithSeedsAddSharesUp) {
  std::vector<ScoreRow> rows;
  add(rows, "baseline", {1, 0, 1});
  for (uint64_t seed = 0; seed < 4; ++seed) {
    add(rows, "random", {seed < 3 ? 0.0 : 1.0, seed == 0 ? 1.0 : 0.0, 1}, seed);
  }
  const ArmRow row =
      compare_arms(rows, std::vector<Contrast>{{"x", "baseline", "random"}}, kQuick).back();
  EXPECT_DOUBLE_EQ(*row.c2w, 0.75);
  EXPECT_DOUBLE_EQ(*row.w2c, 0.25);
  rows.push_back({name_of(0), "baseline", 9, 0.5});
  EXPECT_FALSE(
      compare_arms(rows, std::vector<Contrast>{{"x", "baseline", "random"}}, kQuick).back().c2w);
}

TEST(CompareArms, EqualDifferencesTieInSpiteOfRounding) {
  std::vector<ScoreRow> rows;
  add(rows, "a", {0.3, 0.1, 0.8});  // in doubles these three differences are three numbers
  add(rows, "b", {0.2, 0.0, 0.7});
  CompareOptions options = kQuick;
  options.test = PairedTest::kWilcoxon;
  const ArmRow row = compare_arms(rows, std::vector<Contrast>{{"x", "a", "b"}}, options).back();
  EXPECT_THAT(row.test, testing::HasSubstr("normal"));  // ties: not the exact distribution
}

TEST(CompareArms, LeavesUnpairedConversationsOutAndCountsThem) {
  std::vector<ScoreRow> rows;
  add(rows, "a", {1, 0, 1, 1});
  add(rows, "b", {0, 0});
  const ArmRow row = compare_arms(rows, std::vector<Contrast>{{"x", "a", "b"}}, kQuick).back();
  EXPECT_EQ(row.n_conversations, 2U);
  EXPECT_EQ(row.n_unpaired, 2U);
}

TEST(CompareArms, EveryTestCanBeChosen) {
  std::vector<ScoreRow> rows;
  add(rows, "a", {1, 1, 1, 1, 0, 1, 1});
  add(rows, "b", {0, 0, 1, 0, 1, 0, 0});
  const std::vector<Contrast> contrasts{{"x", "a", "b"}};
  for (const auto test : {PairedTest::kPermutation, PairedTest::kPairedT, PairedTest::kWilcoxon,
                          PairedTest::kMcNemar, PairedTest::kMcNemarMidP}) {
    CompareOptions options = kQuick;
    options.test = test;
    const ArmRow row = compare_arms(rows, contrasts, options).back();
    EXPECT_THAT(row.test, testing::StartsWith(std::string(test_name(test))));
    EXPECT_GT(*row.p, 0.03);
    EXPECT_LT(*row.p, 0.4);
  }
}

TEST(CompareArms, ResultDoesNotDependOnTheOrderOfRowsOrOtherContrasts) {
  std::vector<ScoreRow> rows;
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 45; ++i) {
    a.push_back(std::sin(i));
    b.push_back(std::sin(i + 0.3 * (i % 4)) - 0.05);
  }
  add(rows, "a", a);
  add(rows, "b", b);
  add(rows, "c", a);
  const Contrast wanted{"a - b", "a", "b"};
  const ArmRow alone = compare_arms(rows, std::vector<Contrast>{wanted}, kQuick).back();
  std::reverse(rows.begin(), rows.end());
  const ArmRow beside =
      compare_arms(rows, std::vector<Contrast>{{"c - b", "c", "b"}, wanted}, kQuick).back();
  EXPECT_EQ(*alone.p, *beside.p);
  const Contrast renamed{"same arms, other name", "a", "b"};
  EXPECT_NE(*alone.p, *compare_arms(rows, std::vector<Contrast>{renamed}, kQuick).back().p);
  EXPECT_EQ(alone.diff->interval->high, beside.diff->interval->high);
}

TEST(CompareArms, RefusesBadInputWithAMessage) {
  std::vector<ScoreRow> rows;
  add(rows, "baseline", {0.5, 1});
  add(rows, "streaming", {0, 1});
  const auto message = [&](const std::vector<Contrast>& contrasts, PairedTest test) {
    CompareOptions options = kQuick;
    options.test = test;
    try {
      compare_arms(rows, contrasts, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto test = PairedTest::kPermutation;
  EXPECT_THAT(message({{"x", "baseline", "streamin"}}, test),
              testing::HasSubstr("did you mean 'streaming'"));
  EXPECT_THAT(message({{"x", "baseline", "baseline"}}, test), testing::HasSubstr("itself"));
  EXPECT_THAT(message({{"x", "baseline", "streaming"}}, PairedTest::kMcNemar),
              testing::HasSubstr("0 or 1"));
  const Contrast once{"x", "baseline", "streaming"};
  EXPECT_THAT(message({once, once}, test), testing::HasSubstr("name of its own"));
  rows.push_back(rows.front());
  EXPECT_THAT(message({once}, test), testing::HasSubstr("two rows"));
  rows.back().seed = 5;
  rows.back().score = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(message({once}, test), testing::HasSubstr("nan"));
}

}  // namespace
}  // namespace ebb::stats
