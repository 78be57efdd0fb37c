// Choosing tokens: against the textbook's way over the whole vocabulary, and what is refused.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "base/error.h"

namespace ebb::engine {
namespace {

std::vector<float> random_logits(size_t n, uint32_t seed, float spread) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(generator);
  return logits;
}

// All tokens sorted, all masses summed: the cumulative mass decides.
int32_t pick_plainly(std::span<const float> logits, const Sampling& sampling, double uniform) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  const float top = logits[static_cast<size_t>(order[0])];
  std::vector<double> mass;
  for (const int32_t id : order) {
    mass.push_back(std::exp(static_cast<double>(logits[static_cast<size_t>(id)] - top) /
                            sampling.temperature));
  }
  const double allowed = std::accumulate(mass.begin(), mass.end(), 0.0) * sampling.top_p;
  size_t n_kept = 0;
  double kept = 0.0;
  while (n_kept < mass.size() && kept < allowed) kept += mass[n_kept++];
  double left = uniform * kept;
  for (size_t i = 0; i < n_kept; ++i) {
    if (left < mass[i]) return order[i];
    left -= mass[i];
  }
  return order[n_kept - 1];
}

TEST(Sampler, TakesTheFirstOfTheLargestWhenGreedy) {
  const Sampler sampler({}, "c");
  for (const size_t n : {1, 15, 16, 17, 100, 49152}) {
    std::vector<float> logits = random_logits(n, static_cast<uint32_t>(n), 3.0F);
    const auto best = std::max_element(logits.begin(), logits.end());
    EXPECT_EQ(sampler.pick(logits, 0, 0), best - logits.begin()) << n;
    logits.back() = *best;  // an equal that comes later
    EXPECT_EQ(sampler.pick(logits, 0, 0),
              std::max_element(logits.begin(), logits.end()) - logits.begin());
    std::fill(logits.begin(), logits.end(), -1e30F);
    EXPECT_EQ(sampler.pick(logits, 0, 0), 0);
  }
}

TEST(Sampler, DrawsWhatTheWholeVocabularySays) {
  for (const float temperature : {0.3F, 1.0F, 2.5F}) {
    for (const float top_p : {0.2F, 0.9F, 1.0F}) {
      const Sampling sampling{temperature, top_p, 7};
      const Sampler sampler(sampling, "conversation");
      const KeyedRandom random(7, conversation_key("conversation"), RandomUse::kSampling);
      const std::vector<float> logits = random_logits(5003, 5, 4.0F);
      std::set<int32_t> seen;
      for (int token = 0; token < 300; ++token) {
        const int32_t id = sampler.pick(logits, 2, token);
        EXPECT_EQ(id,
                  pick_plainly(logits, sampling, random.uniform(static_cast<uint32_t>(token), 2)));
        seen.insert(id);
      }
      EXPECT_TRUE(seen.size() > 1 || temperature < 1.0F || top_p < 1.0F);
    }
  }
}

TEST(Sampler, RefusesWhatIsNotFiniteWhereverItStands) {
  for (const Sampling& sampling : {Sampling{}, Sampling{1.0F, 0.9F, 1}}) {
    const Sampler sampler(sampling, "c");
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      for (const size_t at : {0, 40, 98, 99}) {
        std::vector<float> logits = random_logits(100, 3, 1.0F);
        logits[at] = bad;
        EXPECT_THROW(sampler.pick(logits, 0, 0), Error) << bad << " at " << at;
      }
    }
  }
}

TEST(Sampler, LogProbabilitiesAreThoseOfASumInDouble) {
  const std::vector<float> logits = random_logits(1003, 9, 5.0F);
  double sum = 0.0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x));
  for (const int32_t id : {0, 500, 1002}) {
    EXPECT_NEAR(log_probability(logits, id),
                static_cast<double>(logits[static_cast<size_t>(id)]) - std::log(sum), 1e-12);
  }
  double all = 0.0;
  for (int32_t id = 0; id < 1003; ++id) all += std::exp(log_probability(logits, id));
  EXPECT_NEAR(all, 1.0, 1e-12);
}

}  // namespace
}  // namespace ebb::engine
