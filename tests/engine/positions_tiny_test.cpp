// Position modes: compaction that never drifts, positions that only matter as differences, and the
// cases where a suffix after eviction equals a fresh prompt (with those where it must not).
#include <gtest/gtest.h>

#include <cmath>

#include "engine_fixture.h"

namespace ebb::engine {
namespace {

constexpr const char* kModels[] = {"llama-f32", "llama3-f32", "qwen2-f32",
                                   "qwen3-f32", "gemma3-f32", "gemma3-sliding-f32"};

std::string test_name(const testing::TestParamInfo<const char*>& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// Prompt after a prefix that was computed and then evicted whole, in one mode.
std::vector<float> after_evicted_prefix(Engine& engine, PositionMode mode, size_t n_prefix,
                                        std::span<const int32_t> prompt) {
  Sequence sequence = engine.make_sequence(mode);
  run_all(engine, sequence, random_ids(n_prefix, 31));
  engine.evict(sequence, keep_none(sequence));
  return run_all(engine, sequence, prompt);
}

class Positions : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, Positions, testing::ValuesIn(kModels), test_name);

TEST_P(Positions, AThousandCompactionsEqualOneBitForBit) {
  for (const Numerics numerics : {Numerics::kReference, Numerics::kStrict}) {
    Engine engine(tiny_model(GetParam()), with_numerics(numerics, 1));
    Sequence many = engine.make_sequence(PositionMode::kCompact);
    run_all(engine, many, random_ids(1060, 32));
    Sequence once = many.fork();
    for (uint32_t event = 0; event < 1000; ++event) {
      const uint32_t gone = event * 53 % 1060;  // each ordinal at most once
      engine.evict(many, plan_where(many, [&](int, int, uint32_t o) { return o != gone; }));
    }
    engine.evict(once, plan_of(once, ordinals_of(many, keep_all(many))));
    Engine::HeadContent a, b;
    for (int layer = 0; layer < engine.config().n_layers; ++layer) {
      engine.read_head(many, layer, 1, a);
      engine.read_head(once, layer, 1, b);
      EXPECT_EQ(a.ordinals, b.ordinals);
      EXPECT_TRUE(same_bits(a.keys, b.keys)) << "layer " << layer;
    }
    const std::vector<int32_t> next = random_ids(8, 33);
    EXPECT_TRUE(same_bits(run_all(engine, many, next), run_all(engine, once, next)));
  }
}

// Keys of layer 0 depend on their token alone, so what they should be at any position is known:
// the key at position 0 turned in double precision.
double worst_key_error(Engine& engine, const Sequence& sequence) {
  const int half = engine.config().head_dim / 2;
  const auto d = static_cast<size_t>(engine.config().head_dim);
  const model::RopeSpec& rope = engine.config().rope(0);
  Engine::HeadContent have, raw;
  engine.read_head(sequence, 0, 0, have);
  double worst = 0.0;
  for (size_t i = 0; i < have.ordinals.size(); ++i) {
    Sequence fresh = engine.make_sequence(PositionMode::kOriginal);
    run_all(engine, fresh, std::span(sequence.ids()).subspan(have.ordinals[i].value, 1));
    engine.read_head(fresh, 0, 0, raw);
    for (int c = 0; c < half; ++c) {
      double frequency = std::pow(static_cast<double>(rope.base), -2.0 * c / (2 * half));
      if (!rope.freq_factors.empty()) frequency /= rope.freq_factors[static_cast<size_t>(c)];
      const double angle = static_cast<double>(i) * frequency * rope.position_scale;
      const double x = raw.keys[static_cast<size_t>(c)];
      const double y = raw.keys[static_cast<size_t>(c + half)];
      const size_t at = i * d + static_cast<size_t>(c);
      worst = std::max(worst, std::abs(x * std::cos(angle) - y * std::sin(angle) - have.keys[at]));
      worst = std::max(worst, std::abs(x * std::sin(angle) + y * std::cos(angle) -
                                       have.keys[at + static_cast<size_t>(half)]));
    }
  }
  return worst;
}

TEST(CompactPositions, AThousandEventsWhileGrowingDriftNoMoreThanOne) {
  for (const auto& [numerics, bound] :
       {std::pair{Numerics::kReference, 1e-3}, {Numerics::kStrict, 1e-2}}) {
    for (const char* name : {"llama-f32", "llama3-f32", "qwen3-f32"}) {
      Engine engine(tiny_model(name), with_numerics(numerics, 1));
      const std::vector<int32_t> ids = random_ids(1030, 34);
      Sequence many = engine.make_sequence(PositionMode::kCompact);
      run_all(engine, many, std::span(ids).first(30));
      Dice dice(5);
      for (size_t i = 30; i < ids.size(); ++i) {  // a token in, a cell out: 1,000 times
        const StepItem item{&many, std::span(ids).subspan(i, 1), {}, LogitRows::kNone};
        engine.step(std::span(&item, 1));
        const uint32_t gone = dice(31);
        policy::EvictionPlan plan = keep_all(many);
        for (auto& layer : plan.kept) {
          for (auto& head : layer) head.erase(head.begin() + gone);
        }
        engine.evict(many, plan);
      }
      Sequence once = engine.make_sequence(PositionMode::kCompact);
      run_all(engine, once, ids);
      engine.evict(once, plan_of(once, ordinals_of(many, keep_all(many))));
      ASSERT_EQ(many.cells().head(0, 0).n_cells(), 30U);
      const double error = worst_key_error(engine, many);
      EXPECT_LE(error, 2 * worst_key_error(engine, once) + 1e-6) << name;
      EXPECT_LE(error, bound) << name;
    }
  }
}

TEST_P(Positions, EmptiedCompactCacheEqualsAFreshOneBitForBit) {
  // Ordinals are shifted by one of attention's blocks of 256, positions start at 0 again.
  for (const Numerics numerics : {Numerics::kReference, Numerics::kStrict}) {
    Engine engine(tiny_model(GetParam()), with_numerics(numerics, 1));
    const std::vector<int32_t> prompt = random_ids(50, 35);
    Sequence fresh = engine.make_sequence(PositionMode::kOriginal);
    const std::vector<float> expected = run_all(engine, fresh, prompt);
    for (const PositionMode mode : {PositionMode::kCompact, PositionMode::kColliding}) {
      EXPECT_TRUE(same_bits(expected, after_evicted_prefix(engine, mode, 256, prompt)));
    }
    EXPECT_FALSE(
        same_bits(expected, after_evicted_prefix(engine, PositionMode::kOriginal, 256, prompt)))
        << "original positions go on counting";
  }
}

TEST_P(Positions, OnlyDifferencesOfPositionsMatter) {
  Engine engine(tiny_model(GetParam()), with_numerics(Numerics::kReference, 1));
  const std::vector<int32_t> prompt = random_ids(50, 36);
  Sequence fresh = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> expected = run_all(engine, fresh, prompt);
  for (const size_t n_prefix : {1, 7, 100, 500}) {
    const std::vector<float> shifted =
        after_evicted_prefix(engine, PositionMode::kOriginal, n_prefix, prompt);
    EXPECT_LE(largest_difference(expected, shifted), 2e-3) << n_prefix;
    EXPECT_LE(mean_kl(expected, shifted, static_cast<size_t>(engine.config().n_vocab)), 1e-8);
  }
}

// Prefix and suffix in one cache, then the prefix evicted, then `next`; against a suffix that was
// computed only after the prefix had gone.
struct SuffixRuns {
  std::vector<float> evicted_later;
  std::vector<float> never_seen;
};
SuffixRuns run_suffix(const char* model, PositionMode mode, Numerics numerics) {
  Engine engine(tiny_model(model), with_numerics(numerics, 1));
  const std::vector<int32_t> prefix = random_ids(30, 37);
  const std::vector<int32_t> suffix = random_ids(20, 38);
  const std::vector<int32_t> next = random_ids(5, 39);
  Sequence later = engine.make_sequence(mode);
  run_all(engine, later, prefix);
  run_all(engine, later, suffix);
  engine.evict(later, plan_where(later, [](int, int, uint32_t o) { return o >= 30; }));
  Sequence before = engine.make_sequence(mode);
  run_all(engine, before, prefix);
  engine.evict(before, keep_none(before));
  run_all(engine, before, suffix);
  return {run_all(engine, later, next), run_all(engine, before, next)};
}

TEST(SuffixEquivalence, HoldsBitForBitInOneLayerAtOriginalPositions) {
  for (const Numerics numerics : {Numerics::kReference, Numerics::kStrict}) {
    const SuffixRuns runs = run_suffix("llama-1layer-f32", PositionMode::kOriginal, numerics);
    EXPECT_TRUE(same_bits(runs.evicted_later, runs.never_seen));
  }
}

TEST(SuffixEquivalence, HoldsUpToRoundingInOneLayerAfterReRotation) {
  const SuffixRuns runs =
      run_suffix("llama-1layer-f32", PositionMode::kCompact, Numerics::kReference);
  EXPECT_LE(largest_difference(runs.evicted_later, runs.never_seen), 1e-4);
  EXPECT_FALSE(same_bits(runs.evicted_later, runs.never_seen)) << "keys really were turned";
}

TEST(SuffixEquivalence, FailsWithoutReRotation) {
  // The same relation with keys left as stored: the forgotten rotation that it must catch.
  const SuffixRuns runs =
      run_suffix("llama-1layer-f32", PositionMode::kColliding, Numerics::kReference);
  EXPECT_GT(largest_difference(runs.evicted_later, runs.never_seen), 0.1);
}

TEST(SuffixEquivalence, FailsInTwoLayersWhereTheSuffixHasSeenThePrefix) {
  for (const PositionMode mode : {PositionMode::kOriginal, PositionMode::kCompact}) {
    const SuffixRuns runs = run_suffix("llama-f32", mode, Numerics::kReference);
    EXPECT_GT(largest_difference(runs.evicted_later, runs.never_seen), 0.1);
  }
}

}  // namespace
}  // namespace ebb::engine
