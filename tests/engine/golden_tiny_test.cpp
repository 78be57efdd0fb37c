// The engine against HF transformers in float32 (tests/fixtures/hf, made by tools/oracle): before
// eviction, and after evicting sets that differ per layer and head, in every position mode.
#include <gtest/gtest.h>

#include "engine_fixture.h"

namespace ebb::engine {
namespace {

constexpr size_t kBeforeEviction = 32;

class Golden : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Architectures, Golden,
                         testing::Values("llama-f32", "llama3-f32", "llama-1layer-f32", "qwen2-f32",
                                         "qwen3-f32", "gemma3-f32", "gemma3-scaled-f32",
                                         "gemma3-sliding-f32"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(Golden, FullCacheEqualsTransformersFloat32) {
  Engine engine(tiny_model(GetParam()), with_numerics(Numerics::kReference));
  Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> logits = run_all(engine, sequence, golden_ids());
  const record::NpyArray golden =
      record::read_npy(fixture(std::string("hf/") + GetParam() + ".npy"));
  ASSERT_EQ(golden.values.size(), logits.size());
  EXPECT_LE(mean_kl(golden.values, logits, static_cast<size_t>(engine.config().n_vocab)), 1e-8);
  for (size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(golden.values[i], logits[i], 2e-4) << i;
}

TEST_P(Golden, EvictedCacheEqualsGatheredTransformersCacheInEveryPositionMode) {
  const std::string name = GetParam();
  const std::vector<int32_t> ids = golden_ids();
  const std::span all(ids);
  const nlohmann::json first = read_json(fixture("hf/" + name + ".kept.json"))["kept"];
  const nlohmann::json second = read_json(fixture("hf/" + name + ".kept2.json"))["kept"];
  Engine engine(tiny_model(name), with_numerics(Numerics::kReference));
  const std::pair<PositionMode, std::string> modes[] = {{PositionMode::kOriginal, "original"},
                                                        {PositionMode::kCompact, "compact"},
                                                        {PositionMode::kColliding, "colliding"}};
  for (const auto& [mode, mode_name] : modes) {
    for (const bool two_turns : {false, true}) {
      Sequence sequence = engine.make_sequence(mode);
      run_all(engine, sequence, all.first(kBeforeEviction));
      engine.evict(sequence, plan_of(sequence, first));
      std::vector<float> logits;
      if (two_turns) {
        logits = run_all(engine, sequence, all.subspan(kBeforeEviction, 8));
        engine.evict(sequence, plan_of(sequence, second));
        const std::vector<float> rest = run_all(engine, sequence, all.subspan(kBeforeEviction + 8));
        logits.insert(logits.end(), rest.begin(), rest.end());
      } else {
        logits = run_all(engine, sequence, all.subspan(kBeforeEviction));
      }
      const auto golden = record::read_npy(
          fixture("hf/" + name + "." + mode_name + (two_turns ? ".two" : ".one") + ".npy"));
      ASSERT_EQ(golden.values.size(), logits.size());
      EXPECT_LE(mean_kl(golden.values, logits, static_cast<size_t>(engine.config().n_vocab)), 1e-8)
          << mode_name << (two_turns ? " two turns" : " one turn");
    }
  }
}

}  // namespace
}  // namespace ebb::engine
