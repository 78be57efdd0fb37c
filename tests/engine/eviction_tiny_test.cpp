// What eviction must equal, bit for bit: nothing at all when nothing goes, a mask over the same
// cells otherwise; and what it must leave alone.
//
// The mask oracle holds for original positions only: compact and colliding modes renumber what
// stays, and a mask does not.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/cache_source.h"
#include "engine_fixture.h"
#include "policy/evictor.h"
#include "policy/treatment_text.h"
#include "property.h"

namespace ebb::engine {
namespace {

constexpr const char* kModels[] = {"llama-f32",  "llama3-f32",         "qwen2-f32", "qwen3-f32",
                                   "gemma3-f32", "gemma3-sliding-f32", "llama-q4_1"};
constexpr PositionMode kModes[] = {PositionMode::kOriginal, PositionMode::kCompact,
                                   PositionMode::kColliding};

class Eviction : public testing::TestWithParam<std::tuple<const char*, Numerics>> {
 protected:
  Eviction() : engine_(tiny_model(std::get<0>(GetParam())), options()) {}

  static EngineOptions options() { return with_numerics(std::get<1>(GetParam()), 1); }

  Sequence prefilled(size_t n, PositionMode mode = PositionMode::kOriginal) {
    Sequence sequence = engine_.make_sequence(mode);
    run_all(engine_, sequence, random_ids(n, 21));
    return sequence;
  }

  Engine engine_;
};

INSTANTIATE_TEST_SUITE_P(Models, Eviction,
                         testing::Combine(testing::ValuesIn(kModels),
                                          testing::Values(Numerics::kReference, Numerics::kStrict)),
                         [](const auto& param) {
                           std::string name = std::string(std::get<0>(param.param)) + "_" +
                                              std::string(numerics_name(std::get<1>(param.param)));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(Eviction, EvictingNothingEqualsTheBaseline) {
  for (const PositionMode mode : kModes) {
    Sequence sequence = prefilled(40, mode);
    Sequence baseline = prefilled(40);
    for (uint32_t turn = 0; turn < 3; ++turn) {
      const kv::CellLoss loss = engine_.evict(sequence, keep_all(sequence));
      EXPECT_EQ(loss.n_by_treatment, 0U);
      const std::vector<int32_t> ids = random_ids(9, turn);
      ASSERT_TRUE(same_bits(run_all(engine_, baseline, ids), run_all(engine_, sequence, ids)));
    }
  }
}

TEST_P(Eviction, TreatmentsThatNeverActEqualTheBaseline) {
  const std::pair<std::string, policy::ParamMap> treatments[] = {
      {"full", {}},
      {"streaming", {{"keep_initial", "50"}, {"keep_recent", "50"}}},
      {"random", {{"retention_rate", "1"}}},
      {"knorm", {{"budget", "100"}}},
      {"h2o", {{"budget", "100"}}},
      {"snapkv", {{"budget", "100"}}}};
  for (const auto& [name, params] : treatments) {
    policy::Evictor evictor(policy::make_treatment(name, params), engine_.cache_shape(), 1, "c");
    Sequence sequence = engine_.make_sequence(PositionMode::kOriginal, evictor.needs());
    Sequence baseline = engine_.make_sequence(PositionMode::kOriginal);
    for (int turn = 0; turn < 3; ++turn) {
      const std::vector<int32_t> ids = random_ids(20, static_cast<uint32_t>(turn));
      ASSERT_TRUE(same_bits(run_all(engine_, baseline, ids), run_all(engine_, sequence, ids)))
          << name << " turn " << turn;
      policy::SpanInfo span;
      policy::EventInfo event;
      event.event_index = event.turn = turn;
      event.n_logical = sequence.next_ordinal().value;
      event.n_prompt = 20;
      event.turn_begin = Ordinal{sequence.next_ordinal().value - 20};
      event.spans = std::span(&span, 1);
      EngineCacheSource source(engine_, sequence, evictor.needs());
      engine_.evict(sequence, evictor.plan(source, event));
    }
    EXPECT_EQ(sequence.cells().n_cells_total(), baseline.cells().n_cells_total()) << name;
  }
}

TEST_P(Eviction, EvictedEqualsKeptButMaskedForAnySetInTwoTurns) {
  check_property(12, [&] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    const auto n = *rc::gen::inRange<size_t>(1, 90);
    Sequence evicted = engine_.make_sequence(PositionMode::kOriginal);
    Sequence masked = engine_.make_sequence(PositionMode::kOriginal);
    for (uint32_t turn = 0; turn < 3; ++turn) {
      const std::vector<int32_t> ids = random_ids(turn == 0 ? n : 12, seed + turn);
      RC_ASSERT(same_bits(run_all(engine_, evicted, ids), run_all(engine_, masked, ids)));
      if (turn == 2) break;
      const auto percent = *rc::gen::element(0U, 10U, 50U, 95U);
      const policy::EvictionPlan plan = keep_randomly(evicted, seed ^ turn, percent);
      const nlohmann::json kept = ordinals_of(evicted, plan);
      engine_.evict(evicted, plan);
      engine_.hide_all_but(masked, plan_of(masked, kept));
    }
  });
}

TEST_P(Eviction, EvictingTwiceEqualsEvictingTheUnionAtOnce) {
  check_property(8, [&] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    for (const PositionMode mode : kModes) {
      Sequence twice = prefilled(70, mode);
      Sequence once = twice.fork();
      engine_.evict(twice, keep_randomly(twice, seed, 70));
      const policy::EvictionPlan second = keep_randomly(twice, seed + 1, 60);
      const nlohmann::json kept = ordinals_of(twice, second);
      engine_.evict(twice, second);
      engine_.evict(once, plan_of(once, kept));
      const std::vector<int32_t> ids = random_ids(12, seed);
      RC_ASSERT(same_bits(run_all(engine_, once, ids), run_all(engine_, twice, ids)));
    }
  });
}

TEST_P(Eviction, WhatStaysIsReadBackBitForBit) {
  Sequence sequence = prefilled(60);
  const Sequence before = sequence.fork();
  const policy::EvictionPlan plan = keep_randomly(sequence, 3, 40);
  engine_.evict(sequence, plan);
  const auto d = static_cast<size_t>(engine_.config().head_dim);
  Engine::HeadContent all, left;
  for (int layer = 0; layer < engine_.config().n_layers; ++layer) {
    for (int head = 0; head < engine_.config().n_kv_heads; ++head) {
      engine_.read_head(before, layer, head, all);
      engine_.read_head(sequence, layer, head, left);
      const auto& kept = plan.kept[static_cast<size_t>(layer)][static_cast<size_t>(head)];
      ASSERT_EQ(left.ordinals.size(), kept.size());
      for (size_t i = 0; i < kept.size(); ++i) {
        EXPECT_EQ(left.ordinals[i], all.ordinals[kept[i]]);
        const auto is_same = [&](const std::vector<float>& a, const std::vector<float>& b) {
          return same_bits(std::span(a).subspan(i * d, d), std::span(b).subspan(kept[i] * d, d));
        };
        EXPECT_TRUE(is_same(left.keys, all.keys));
        EXPECT_TRUE(is_same(left.values, all.values));
      }
    }
  }
}

TEST_P(Eviction, EvictingInOneForkLeavesTheOtherAlone) {
  for (const PositionMode mode : kModes) {
    Sequence parent = prefilled(80, mode);
    Sequence lonely = prefilled(80, mode);
    Sequence child = parent.fork();
    for (uint32_t turn = 0; turn < 3; ++turn) {
      engine_.evict(child, keep_randomly(child, turn, 50));
      const std::vector<int32_t> ids = random_ids(5, turn);
      const std::vector<int32_t> other = random_ids(5, turn + 50);
      const std::vector<float> expected = run_all(engine_, lonely, ids);
      const StepItem items[] = {{&child, other, {}, LogitRows::kAll},
                                {&parent, ids, {}, LogitRows::kAll}};
      const StepLogits step = engine_.step(items);
      const std::span<const float> mine =
          std::span(step.values).subspan(step.first_row[1] * step.n_vocab);
      ASSERT_TRUE(same_bits(expected, mine)) << "turn " << turn;
    }
  }
}

TEST_P(Eviction, NeedleThatIsAttendedToMovesTheLogits) {
  Sequence baseline = prefilled(30);
  // The cell of highest value: whichever single cell moves the logits most must move them clearly.
  double largest = 0.0;
  const std::vector<int32_t> ids = random_ids(1, 77);
  Sequence plain = baseline.fork();
  const std::vector<float> expected = run_all(engine_, plain, ids);
  for (uint32_t needle = 0; needle < 30; needle += 3) {
    Sequence evicted = baseline.fork();
    engine_.evict(evicted, plan_where(evicted, [&](int, int, uint32_t o) { return o != needle; }));
    largest = std::max(largest, largest_difference(expected, run_all(engine_, evicted, ids)));
  }
  EXPECT_GT(largest, 1e-2);
}

// A sliding layer holds window - 1 cells between steps: with the new one, a query sees `window`.
TEST(SlidingWindow, HoldsExactlyWhatTheNextQueryCanSee) {
  Engine engine(tiny_model("gemma3-f32"), with_numerics(Numerics::kStrict, 1));
  const auto window = static_cast<uint32_t>(engine.config().window);
  for (const uint32_t n : {window - 1, window, window + 1, 3 * window}) {
    Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
    run_all(engine, sequence, random_ids(n, 1));
    for (int layer = 0; layer < engine.config().n_layers; ++layer) {
      const bool slides = engine.config().is_sliding(layer);
      EXPECT_EQ(sequence.cells().count(layer).n_max, slides ? std::min(n, window - 1) : n);
    }
  }
}

TEST(SlidingWindow, CellAtTheEdgeMattersToTheNextQueryAndToNoLaterOne) {
  // One layer's reach: what the sliding layers alone see of the first token.
  Engine engine(tiny_model("gemma3-sliding-f32"), with_numerics(Numerics::kStrict, 1));
  const auto window = static_cast<uint32_t>(engine.config().window);
  for (const uint32_t distance : {window - 2, window - 1, window}) {
    // The next token is at ordinal n; evict the cell at n - distance in layer 0.
    const uint32_t n = 3 * window;
    Sequence baseline = engine.make_sequence(PositionMode::kOriginal);
    run_all(engine, baseline, random_ids(n, 2));
    Sequence evicted = baseline.fork();
    const kv::CellLoss loss =
        engine.evict(evicted, plan_where(evicted, [&](int layer, int, uint32_t ordinal) {
                       return layer != 0 || ordinal != n - distance;
                     }));
    const std::vector<int32_t> next = random_ids(1, 3);
    const bool is_same = same_bits(run_all(engine, baseline, next), run_all(engine, evicted, next));
    EXPECT_EQ(is_same, distance == window) << "distance " << distance;
    EXPECT_EQ(loss.n_by_treatment > 0, distance < window) << "nothing is there to evict any more";
  }
}

// With every layer sliding, a token reaches n_layers * (window - 1) back and not one further.
TEST(SlidingWindow, ReceptiveFieldOfAllLayersEndsWhereItMust) {
  Engine engine(tiny_model("gemma3-sliding-f32"), with_numerics(Numerics::kStrict, 1));
  const auto reach = static_cast<size_t>(engine.config().n_layers * (engine.config().window - 1));
  std::vector<int32_t> ids = random_ids(reach + 20, 5);
  const auto n_vocab = static_cast<size_t>(engine.config().n_vocab);
  Sequence one = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> expected = run_all(engine, one, ids);
  ids[4] = (ids[4] + 1) % 256;
  Sequence other = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> changed = run_all(engine, other, ids, 9);
  for (size_t i = 4; i < ids.size(); ++i) {
    const bool is_same = same_bits(std::span(expected).subspan(i * n_vocab, n_vocab),
                                   std::span(changed).subspan(i * n_vocab, n_vocab));
    ASSERT_EQ(is_same, i > 4 + reach) << "token " << i;
  }
}

TEST(EvictionErrors, StepThatFailsLeavesSequencesAsTheyWere) {
  Engine engine(tiny_model("llama-f32"), with_numerics(Numerics::kStrict, 1));
  Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  run_all(engine, sequence, random_ids(10, 1));
  Sequence baseline = sequence.fork();
  const std::vector<int32_t> bad{1, 2, 100000};
  const StepItem item{&sequence, bad, {}, LogitRows::kLast};
  EXPECT_THROW(engine.step(std::span(&item, 1)), Error);
  EXPECT_EQ(sequence.next_ordinal().value, 10U);
  EXPECT_EQ(sequence.span_of_token().size(), 10U);
  const std::vector<int32_t> ids = random_ids(3, 2);
  EXPECT_TRUE(same_bits(run_all(engine, baseline, ids), run_all(engine, sequence, ids)));
}

}  // namespace
}  // namespace ebb::engine
