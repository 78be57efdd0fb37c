#include "experiment/coherence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace ebb::experiment {
namespace {

TEST(RepeatedNgramShare, CountsEveryRepeatOfAnEarlierGram) {
  // Grams of 2: 12 23 31 12 23 -> 5 grams, 3 different.
  const std::vector<int32_t> ids = {1, 2, 3, 1, 2, 3};
  EXPECT_DOUBLE_EQ(repeated_ngram_share(ids, 2), 2.0 / 5.0);
  EXPECT_DOUBLE_EQ(repeated_ngram_share(ids, 4), 0.0);
}

TEST(RepeatedNgramShare, IsNearlyOneForOneTokenOverAndOver) {
  EXPECT_DOUBLE_EQ(repeated_ngram_share(std::vector<int32_t>(103, 7), 4), 0.99);
}

TEST(RepeatedNgramShare, IsZeroForRepliesWithoutASecondGram) {
  EXPECT_EQ(repeated_ngram_share({}, 4), 0.0);
  EXPECT_EQ(repeated_ngram_share(std::vector<int32_t>{5, 5, 5}, 4), 0.0);
  EXPECT_EQ(repeated_ngram_share(std::vector<int32_t>{5, 5, 5, 5}, 4), 0.0);
  EXPECT_DOUBLE_EQ(repeated_ngram_share(std::vector<int32_t>{5, 5, 5, 5, 5}, 4), 0.5);
  EXPECT_THROW(static_cast<void>(repeated_ngram_share({}, 0)), Error);
}

TEST(Perplexity, IsTheInverseGeometricMeanProbability) {
  const std::vector<double> nll = {-std::log(0.5), -std::log(0.125)};
  EXPECT_NEAR(perplexity(nll).value(), 4.0, 1e-12);
  EXPECT_FALSE(perplexity({}));
  const std::vector<double> impossible = {std::numeric_limits<double>::infinity()};
  EXPECT_TRUE(std::isinf(perplexity(impossible).value()));
}

}  // namespace
}  // namespace ebb::experiment
