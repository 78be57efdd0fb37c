#include "base/rng.h"

#include <gtest/gtest.h>

#include <set>

namespace ebb {
namespace {

TEST(KeyedRandom, the_same_key_gives_the_same_number_in_any_order) {
  const KeyedRandom a(1, conversation_key("talk"), RandomUse::kEviction);
  const KeyedRandom b(1, conversation_key("talk"), RandomUse::kEviction);
  const auto late = a.u32(9, 8, 7, 6);
  (void)b.u32(1);
  EXPECT_EQ(b.u32(9, 8, 7, 6), late);
}

TEST(KeyedRandom, every_word_of_the_key_counts) {
  const uint64_t talk = conversation_key("talk");
  std::set<uint64_t> draws;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32U}) {
    for (const uint64_t conversation :
         {talk, uint64_t{talk ^ 1U}, uint64_t{talk ^ (uint64_t{1} << 40U)}}) {
      for (const RandomUse use : {RandomUse::kEviction, RandomUse::kSampling}) {
        const KeyedRandom random(seed, conversation, use);
        for (uint32_t i = 0; i < 16; ++i)
          draws.insert(random.u64(i & 1U, (i >> 1U) & 1U, (i >> 2U) & 1U, i >> 3U));
      }
    }
  }
  EXPECT_EQ(draws.size(), 3U * 3U * 2U * 16U);
}

TEST(KeyedRandom, uniform_numbers_fill_the_unit_interval) {
  const KeyedRandom random(5, 6, RandomUse::kSampling);
  double sum = 0.0;
  double least = 1.0;
  double most = 0.0;
  for (uint32_t i = 0; i < 10000; ++i) {
    const double x = random.uniform(i);
    sum += x;
    least = std::min(least, x);
    most = std::max(most, x);
  }
  EXPECT_GE(least, 0.0);
  EXPECT_LT(most, 1.0);
  EXPECT_LT(least, 0.001);
  EXPECT_GT(most, 0.999);
  EXPECT_NEAR(sum / 10000, 0.5, 0.015);
}

TEST(KeyedRandom, numbers_do_not_change_between_versions) {
  // Records depend on these: a change would silently turn every seed into another experiment.
  const KeyedRandom random(42, conversation_key("conversation-0"), RandomUse::kEviction);
  EXPECT_EQ(conversation_key("conversation-0"), 3031178560173907212U);
  EXPECT_EQ(random.u32(0), 2269380972U);
  EXPECT_EQ(random.u32(1, 2, 3, 4), 3548482508U);
}

}  // namespace
}  // namespace ebb
