// What the engine gathers for policies, against HF transformers in float32 (tests/fixtures/hf).
#include <gtest/gtest.h>

#include "engine/cache_source.h"
#include "engine_fixture.h"

namespace ebb::engine {
namespace {

constexpr int kWindow = 8;

policy::Needs everything() {
  policy::Needs needs;
  needs.keys = needs.values = needs.attention_sum = needs.query_moments = true;
  needs.attention_window = kWindow;
  return needs;
}

class Signals : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Architectures, Signals,
                         testing::Values("llama-f32", "qwen3-f32", "gemma3-f32"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

record::NpyArray golden(const std::string& model, const std::string& what) {
  return record::read_npy(fixture("hf/" + model + "." + what + ".npy"));
}

void expect_near(std::span<const float> expected, std::span<const float> found, float tolerance,
                 const std::string& what) {
  ASSERT_EQ(expected.size(), found.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(expected[i], found[i], tolerance * std::max(1.0F, std::abs(expected[i])))
        << what << " " << i;
  }
}

// Every signal of one layer against rows of the goldens, which are indexed by ordinal.
void check_layer(const std::string& name, const Engine& engine, const policy::LayerView& view) {
  const auto sums = golden(name, "attention_sum");
  const auto last = golden(name, "attention_last8");
  const auto mean = golden(name, "query_mean");
  const auto covariance = golden(name, "query_covariance");
  const auto keys = golden(name, "keys");
  const size_t n = golden_ids().size();
  const auto d = static_cast<size_t>(engine.config().head_dim);
  const auto group = static_cast<size_t>(engine.config().group_size());
  for (size_t h = 0; h < view.heads.size(); ++h) {
    const policy::HeadView& head = view.heads[h];
    const size_t at = static_cast<size_t>(view.layer) * view.heads.size() + h;
    const size_t first = head.ordinals.front().value;  // a sliding layer has dropped the oldest
    const std::string where =
        name + " layer " + std::to_string(view.layer) + " head " + std::to_string(h);
    expect_near(std::span(sums.values).subspan(at * n + first, n - first), head.attention_sum,
                1e-5F, where + " sums");
    expect_near(std::span(keys.values).subspan((at * n + first) * d, (n - first) * d), head.keys,
                1e-4F, where + " keys");
    for (size_t g = 0; g < group; ++g) {
      const size_t q = at * group + g;
      if (!view.is_sliding) {
        // In a sliding layer some of the window's queries also saw cells that are gone by now.
        expect_near(std::span(last.values).subspan(q * n + first, n - first),
                    head.attention_window.subspan(g * head.n_cells(), head.n_cells()), 1e-5F,
                    where + " window");
      }
      expect_near(std::span(mean.values).subspan(q * d, d), head.query_mean.subspan(g * d, d),
                  1e-4F, where + " mean");
      expect_near(std::span(covariance.values).subspan(q * d * d, d * d),
                  head.query_covariance.subspan(g * d * d, d * d), 1e-3F, where + " covariance");
    }
  }
}

TEST_P(Signals, EqualTransformersStatisticsInFloat32) {
  const std::string name = GetParam();
  Engine engine(tiny_model(name), with_numerics(Numerics::kReference));
  Sequence sequence = engine.make_sequence(PositionMode::kOriginal, everything());
  run_all(engine, sequence, golden_ids());
  EngineCacheSource source(engine, sequence, everything());
  for (int layer = 0; layer < engine.config().n_layers; ++layer) {
    check_layer(name, engine, source.layer(layer));
  }
}

TEST_P(Signals, GatheringChangesNoLogit) {
  Engine engine(tiny_model(GetParam()), with_numerics(Numerics::kStrict));
  Sequence plain = engine.make_sequence(PositionMode::kOriginal);
  Sequence watched = engine.make_sequence(PositionMode::kOriginal, everything());
  EXPECT_EQ(run_all(engine, plain, golden_ids()), run_all(engine, watched, golden_ids()));
}

void expect_same(Engine& engine, const Sequence& first, Engine& other, const Sequence& second,
                 const policy::Needs& needs = everything()) {
  EngineCacheSource a(engine, first, needs);
  EngineCacheSource b(other, second, needs);
  for (int layer = 0; layer < engine.config().n_layers; ++layer) {
    const policy::LayerView x = a.layer(layer);
    const policy::LayerView y = b.layer(layer);
    for (size_t h = 0; h < x.heads.size(); ++h) {
      EXPECT_TRUE(std::ranges::equal(x.heads[h].attention_sum, y.heads[h].attention_sum));
      EXPECT_TRUE(std::ranges::equal(x.heads[h].attention_window, y.heads[h].attention_window));
      EXPECT_TRUE(std::ranges::equal(x.heads[h].query_covariance, y.heads[h].query_covariance));
    }
  }
}

TEST_P(Signals, DoNotDependOnChunksOrThreads) {
  const std::vector<int32_t> ids = golden_ids();
  Engine two(tiny_model(GetParam()), with_numerics(Numerics::kStrict, 2));
  Engine one(tiny_model(GetParam()), with_numerics(Numerics::kStrict, 1));
  Sequence at_once = two.make_sequence(PositionMode::kOriginal, everything());
  Sequence in_chunks = one.make_sequence(PositionMode::kOriginal, everything());
  run_all(two, at_once, ids);
  run_all(one, in_chunks, ids, 7);
  expect_same(two, at_once, one, in_chunks);
}

TEST_P(Signals, DoNotDependOnWhichLogitsAreWanted) {
  const std::vector<int32_t> ids = golden_ids();
  Engine engine(tiny_model(GetParam()), with_numerics(Numerics::kStrict));
  policy::Needs sums;
  sums.attention_sum = true;
  policy::Needs window;
  window.attention_window = kWindow;
  policy::Needs moments;
  moments.query_moments = true;
  for (const policy::Needs& needs : {everything(), sums, window, moments}) {
    Sequence all = engine.make_sequence(PositionMode::kOriginal, needs);
    run_all(engine, all, ids);
    for (const LogitRows wanted : {LogitRows::kNone, LogitRows::kLast}) {
      Sequence few = engine.make_sequence(PositionMode::kOriginal, needs);
      Sequence plain = engine.make_sequence(PositionMode::kOriginal);
      const StepItem items[] = {{&plain, ids, {}, wanted}, {&few, ids, {}, wanted}};
      engine.step(items);
      expect_same(engine, all, engine, few, needs);
    }
  }
}

TEST_P(Signals, FollowCellsThroughEvictionAndFork) {
  const std::vector<int32_t> ids = golden_ids();
  const std::span all(ids);
  Engine engine(tiny_model(GetParam()), with_numerics(Numerics::kStrict));
  Sequence sequence = engine.make_sequence(PositionMode::kOriginal, everything());
  run_all(engine, sequence, all.first(32));
  Sequence fork = sequence.fork();
  const auto sums_of = [](const Sequence& s, int head) {
    const auto span = s.signals()->weight_sums(0, head);
    return std::vector<int64_t>(span.begin(), span.end());
  };
  const std::vector<int64_t> before = sums_of(sequence, 0);
  policy::EvictionPlan plan;
  for (int layer = 0; layer < engine.config().n_layers; ++layer) {
    plan.kept.emplace_back();
    for (int head = 0; head < engine.config().n_kv_heads; ++head) {
      auto& kept = plan.kept.back().emplace_back();
      for (uint32_t i = 0; i < sequence.cells().head(layer, head).n_cells(); i += 3)
        kept.push_back(i);
    }
  }
  engine.evict(sequence, plan);
  EXPECT_EQ(sums_of(fork, 0), before) << "the fork lost something";
  const std::vector<int64_t> after = sums_of(sequence, 0);
  ASSERT_EQ(after.size(), plan.kept[0][0].size());
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i], before[plan.kept[0][0][i]]);
  run_all(engine, sequence, all.subspan(32));
  EXPECT_EQ(sums_of(sequence, 0).size(), sequence.cells().head(0, 0).n_cells());
}

}  // namespace
}  // namespace ebb::engine
