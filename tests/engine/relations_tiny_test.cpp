// Relations between runs that must hold bit for bit whatever the model computes, as properties over
// random sets of cells; each with a control that breaks it. Those about masks, unions, forks,
// chunks, threads, windows, positions and signals are in the files named after them.
#include <gtest/gtest.h>

#include "base/error.h"
#include "property.h"
#include "session_fixture.h"

namespace ebb::engine {
namespace {

class Relations : public testing::TestWithParam<const char*> {
 protected:
  Relations() : engine_(tiny_model(GetParam()), with_numerics(Numerics::kStrict, 1)) {}

  Sequence prefilled(size_t n = 70) {
    Sequence sequence = engine_.make_sequence(PositionMode::kOriginal);
    run_all(engine_, sequence, random_ids(n, 61));
    return sequence;
  }

  Engine engine_;
};
INSTANTIATE_TEST_SUITE_P(Models, Relations, testing::Values("llama-f32", "gemma3-f32"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Every key and value of a sequence.
std::vector<float> content_of(const Engine& engine, const Sequence& sequence) {
  std::vector<float> out;
  Engine::HeadContent content;
  for (int layer = 0; layer < engine.config().n_layers; ++layer) {
    for (int head = 0; head < engine.config().n_kv_heads; ++head) {
      engine.read_head(sequence, layer, head, content);
      out.insert(out.end(), content.keys.begin(), content.keys.end());
      out.insert(out.end(), content.values.begin(), content.values.end());
    }
  }
  return out;
}

TEST_P(Relations, EvictingWhatIsGoneAlreadyDoesNothing) {
  check_property(8, [&] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Sequence once = prefilled();
    const policy::EvictionPlan plan = keep_randomly(once, seed, 60);
    const nlohmann::json kept = ordinals_of(once, plan);
    engine_.evict(once, plan);
    Sequence twice = once.fork();
    RC_ASSERT(engine_.evict(twice, plan_of(twice, kept)).n_by_treatment == 0U);
    const std::vector<int32_t> next = random_ids(6, seed);
    RC_ASSERT(same_bits(run_all(engine_, once, next), run_all(engine_, twice, next)));
  });
}

TEST_P(Relations, WhatAFollowingEvictionTakesMayBeTakenInAnyOrder) {
  check_property(8, [&] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Sequence a = prefilled();
    Sequence b = a.fork();
    const auto gone = [](uint32_t salt, int layer, int head, uint32_t ordinal) {
      Dice dice(salt + ordinal * 31U + static_cast<uint32_t>(layer * 7 + head));
      return dice(100) < 40;
    };
    for (const uint32_t salt : {seed, seed + 1}) {
      engine_.evict(a,
                    plan_where(a, [&](int l, int h, uint32_t o) { return !gone(salt, l, h, o); }));
    }
    for (const uint32_t salt : {seed + 1, seed}) {
      engine_.evict(b,
                    plan_where(b, [&](int l, int h, uint32_t o) { return !gone(salt, l, h, o); }));
    }
    RC_ASSERT(content_of(engine_, a) == content_of(engine_, b));
    const std::vector<int32_t> next = random_ids(6, seed);
    RC_ASSERT(same_bits(run_all(engine_, a, next), run_all(engine_, b, next)));
  });
}

TEST_P(Relations, AForkKeptAsideBringsBackTheBaseline) {
  check_property(6, [&] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Sequence baseline = prefilled();
    const std::vector<float> content = content_of(engine_, baseline);
    std::vector<float> evicted_logits;
    const std::vector<int32_t> next = random_ids(6, seed);
    const Sequence aside = baseline.fork();
    {
      Sequence evicted = baseline.fork();
      engine_.evict(evicted, keep_randomly(evicted, seed, 50));
      evicted_logits = run_all(engine_, evicted, next);
    }
    RC_ASSERT(content_of(engine_, aside) == content);
    Sequence restored = aside.fork();
    const std::vector<float> expected = run_all(engine_, baseline, next);
    RC_ASSERT(same_bits(expected, run_all(engine_, restored, next)));
    RC_ASSERT(!same_bits(expected, evicted_logits));  // the control: the eviction was felt
  });
}

TEST_P(Relations, EvictingWhatIsMaskedDoesNothing) {
  check_property(8, [&] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Sequence masked = prefilled();
    const policy::EvictionPlan plan = keep_randomly(masked, seed, 50);
    engine_.hide_all_but(masked, plan);
    Sequence evicted = masked.fork();
    engine_.evict(evicted, plan);
    RC_ASSERT(evicted.cells().n_cells_total() < masked.cells().n_cells_total());
    const std::vector<int32_t> next = random_ids(6, seed);
    RC_ASSERT(same_bits(run_all(engine_, masked, next), run_all(engine_, evicted, next)));
  });
}

// The suffix never saw the prefix: then it does not matter when the prefix goes. Without the mask
// it does, in any model of more than one layer.
TEST_P(Relations, APrefixThatNobodySawMayGoAtAnyTime) {
  const std::vector<int32_t> suffix = random_ids(20, 63);
  const std::vector<int32_t> next = random_ids(6, 64);
  const auto drop_prefix = [&](Sequence& sequence) {
    engine_.evict(sequence, plan_where(sequence, [](int, int, uint32_t o) { return o >= 30; }));
  };
  Sequence early = prefilled(30);
  Sequence masked = early.fork();
  Sequence seen = early.fork();
  drop_prefix(early);
  engine_.hide_all_but(masked, keep_none(masked));
  run_all(engine_, early, suffix);
  run_all(engine_, masked, suffix);
  run_all(engine_, seen, suffix);
  drop_prefix(masked);
  drop_prefix(seen);
  const std::vector<float> expected = run_all(engine_, early, next);
  EXPECT_TRUE(same_bits(expected, run_all(engine_, masked, next)));
  EXPECT_GT(largest_difference(expected, run_all(engine_, seen, next)), 1e-2);
}

// Coarser numbers in the cells move the logits further, evicted or not; the mask oracle holds in
// each of them.
TEST_P(Relations, CoarserCellsAreFurtherFromFloat32AndStillObeyTheMask) {
  std::vector<float> exact;
  std::vector<double> distances;
  for (const CellType type : {CellType::kF32, CellType::kF16, CellType::kBf16}) {
    EngineOptions options = with_numerics(Numerics::kStrict, 1);
    options.cell_type = type;
    Engine engine(tiny_model(GetParam()), options);
    Sequence evicted = engine.make_sequence(PositionMode::kOriginal);
    run_all(engine, evicted, random_ids(70, 65));
    Sequence masked = evicted.fork();
    const policy::EvictionPlan plan = keep_randomly(evicted, 66, 50);
    engine.evict(evicted, plan);
    engine.hide_all_but(masked, plan);
    const std::vector<int32_t> next = random_ids(6, 67);
    const std::vector<float> logits = run_all(engine, evicted, next);
    EXPECT_TRUE(same_bits(logits, run_all(engine, masked, next)));
    if (type == CellType::kF32) exact = logits;
    distances.push_back(largest_difference(exact, logits));
  }
  EXPECT_EQ(distances[0], 0.0);
  EXPECT_GT(distances[1], 0.0);
  EXPECT_GT(distances[2], 2 * distances[1]) << "8 bits of mantissa beside 11";
}

// Two turns; the ids and what stays at each event.
struct Told {
  std::vector<int32_t> ids;
  std::vector<KeptRanges> kept;
};
Told two_turns(Stage& stage, const policy::Treatment& treatment) {
  SessionOptions options;
  options.conversation_id = "c";
  options.treatment = treatment;
  Session session(stage.engine, stage.tokenizer, stage.format, options);
  Session* one = &session;
  Told told;
  for (int turn = 0; turn < 2; ++turn) {
    session.begin_turn(say("The mill stands by the river."), 8);
    run_until_idle(stage.engine, std::span(&one, 1));
    for (const EventRecord& event : session.turns().back().events) told.kept.push_back(event.kept);
  }
  told.ids = session.sequence().ids();
  return told;
}

policy::Treatment with_budget(const std::string& name, const std::string& budget) {
  try {
    return policy::make_treatment(name, {{"budget", budget}});
  } catch (const Error&) {
    return policy::make_treatment(name);  // a method whose own parameters are its budget
  }
}

// Loops over names inside a test: loading the model is what costs.
TEST_P(Relations, RowsPerStepChangeNoKeptCellUnderAnyTreatment) {
  Stage wide(GetParam(), with_numerics(Numerics::kStrict, 1));
  EngineOptions options = with_numerics(Numerics::kStrict, 1);
  options.n_rows_max = 7;
  Stage narrow(GetParam(), options);
  for (const std::string& name : every_treatment_name()) {
    const policy::Treatment treatment = with_budget(name, "40");
    const Told expected = two_turns(wide, treatment);
    const Told told = two_turns(narrow, treatment);
    EXPECT_EQ(told.ids, expected.ids) << name;
    EXPECT_EQ(told.kept, expected.kept) << name;
  }
}

// One policy of each kind of signal: sums, windows, moments, keys and values.
TEST(PolicyRelations, ThreadsChangeNoKeptCell) {
  Stage one("llama-f32", with_numerics(Numerics::kStrict, 1));
  Stage three("llama-f32", with_numerics(Numerics::kStrict, 3));
  for (const char* name : {"h2o", "snapkv", "expected_attention", "keydiff", "lagkv"}) {
    const policy::Treatment treatment = with_budget(name, "40");
    EXPECT_EQ(two_turns(one, treatment).kept, two_turns(three, treatment).kept) << name;
  }
}

TEST_P(Relations, ABudgetOfEverythingIsTheBaselineUnderEveryTreatment) {
  Stage stage(GetParam(), with_numerics(Numerics::kStrict, 1));
  const Told baseline = two_turns(stage, policy::make_treatment("none"));
  for (const std::string& name : every_treatment_name()) {
    const policy::Treatment treatment = with_budget(name, "1000");
    if (treatment.budget.kind != policy::BudgetKind::kCount) continue;
    const Told whole = two_turns(stage, treatment);
    EXPECT_EQ(whole.ids, baseline.ids) << name;
    // The control: a small budget keeps other cells (unless the method skips all of the layers).
    if (treatment.policy == "full" || name == "knorm_skip2") continue;
    EXPECT_NE(two_turns(stage, with_budget(name, "40")).kept, whole.kept) << name;
  }
}

}  // namespace
}  // namespace ebb::engine
