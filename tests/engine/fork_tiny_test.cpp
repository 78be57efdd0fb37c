// Arms that share their first turn: a fork is, bit for bit, what a session of its own would be.
#include <gtest/gtest.h>

#include "base/error.h"
#include "policy/needs.h"
#include "session_fixture.h"

namespace ebb::engine {
namespace {

// One turn, with the logits of every generated token.
std::vector<float> turn_of(Engine& engine, Session& session, const std::string& text) {
  std::vector<float> out;
  session.begin_turn(say(text), 8);
  while (!session.is_idle()) {
    const StepItem item = session.next_item(engine);
    const StepLogits logits = engine.step(std::span(&item, 1));
    const bool any = logits.n_rows(0) > 0;
    if (any) out.insert(out.end(), logits.row(0).begin(), logits.row(0).end());
    session.accept(engine, any ? logits.row(0) : std::span<const float>{});
  }
  return out;
}

constexpr const char* kFirst = "The old mill stands by the river, and nobody knows who owns it.";
constexpr const char* kSecond = "Who owns it?";

void expect_same_layers(const std::vector<LayerCells>& a, const std::vector<LayerCells>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].before.n_total, b[i].before.n_total);
    EXPECT_EQ(a[i].after.n_total, b[i].after.n_total);
    EXPECT_EQ(a[i].after.n_min, b[i].after.n_min);
    EXPECT_EQ(a[i].after.n_max, b[i].after.n_max);
  }
}

void expect_same_events(const TurnRecord& a, const TurnRecord& b) {
  ASSERT_EQ(a.events.size(), b.events.size());
  for (size_t i = 0; i < a.events.size(); ++i) {
    const EventRecord& x = a.events[i];
    const EventRecord& y = b.events[i];
    EXPECT_EQ(x.kind, y.kind);
    EXPECT_EQ(x.turn, y.turn);
    EXPECT_EQ(x.n_logical, y.n_logical);
    EXPECT_EQ(x.n_cells_before, y.n_cells_before);
    EXPECT_EQ(x.n_cells_after, y.n_cells_after);
    EXPECT_EQ(x.loss.n_by_treatment, y.loss.n_by_treatment);
    EXPECT_EQ(x.loss.n_by_architecture, y.loss.n_by_architecture);
    EXPECT_EQ(x.notices, y.notices);
    EXPECT_EQ(x.span_cells_before, y.span_cells_before);
    EXPECT_EQ(x.span_cells_after, y.span_cells_after);
    EXPECT_EQ(x.kept, y.kept);
    expect_same_layers(x.layers, y.layers);
  }
}

void expect_same_records(const Session& a, const Session& b) {
  EXPECT_EQ(a.sequence().ids(), b.sequence().ids());
  EXPECT_EQ(a.spans(), b.spans());
  ASSERT_EQ(a.turns().size(), b.turns().size());
  for (size_t i = 0; i < a.turns().size(); ++i) {
    const TurnRecord& x = a.turns()[i];
    const TurnRecord& y = b.turns()[i];
    EXPECT_EQ(x.turn, y.turn);
    EXPECT_EQ(x.n_prompt_tokens, y.n_prompt_tokens);
    EXPECT_EQ(x.reply_ids, y.reply_ids);
    EXPECT_EQ(x.stop, y.stop);
    EXPECT_EQ(x.reply_begin, y.reply_begin);
    EXPECT_EQ(x.bytes_cells, y.bytes_cells);
    EXPECT_EQ(x.bytes_alone, y.bytes_alone);
    EXPECT_EQ(x.n_cells_peak, y.n_cells_peak);
    EXPECT_EQ(x.n_cells_mean, y.n_cells_mean);
    expect_same_layers(x.layers, y.layers);
    expect_same_events(x, y);
  }
}

SessionOptions arm(const std::string& name, policy::ParamMap params) {
  SessionOptions options;
  options.conversation_id = "c";
  options.seed = 7;
  params["trigger"] = "turn_end";
  try {
    options.treatment = policy::make_treatment(name, params);
  } catch (const Error&) {
    params.erase("budget");  // a method whose own parameters say how much stays
    options.treatment = policy::make_treatment(name, params);
  }
  return options;
}

// The baseline, gathering for every method that can share with `wanted`, and for wide windows.
SessionOptions trunk_for(const policy::Needs& wanted) {
  SessionOptions options = arm("none", {});
  options.seed = 0;
  options.extra_needs = policy::union_of(wanted, {.attention_sum = true, .attention_window = 64});
  for (const std::string& name : every_treatment_name()) {
    const policy::Needs needs = policy::needs_of(arm(name, {{"budget", "40"}}).treatment);
    if (policy::can_share(options.extra_needs, needs)) {
      options.extra_needs = policy::union_of(options.extra_needs, needs);
    }
  }
  return options;
}

std::unique_ptr<Session> session_of(const Stage& stage, SessionOptions options) {
  return std::make_unique<Session>(stage.engine, stage.tokenizer, stage.format, std::move(options));
}

void expect_fork_is_alone(Stage& stage, const SessionOptions& options) {
  const auto trunk = session_of(stage, trunk_for(policy::needs_of(options.treatment)));
  const std::vector<float> shared = turn_of(stage.engine, *trunk, kFirst);
  const auto forked = trunk->fork(stage.engine, options);
  const auto alone = session_of(stage, options);
  ASSERT_TRUE(same_bits(shared, turn_of(stage.engine, *alone, kFirst)));
  // The trunk goes on too: what it writes must not reach the fork.
  turn_of(stage.engine, *trunk, "Go on.");
  const std::vector<float> after = turn_of(stage.engine, *forked, kSecond);
  EXPECT_TRUE(same_bits(turn_of(stage.engine, *alone, kSecond), after));
  expect_same_records(*forked, *alone);
  const policy::Treatment& treatment = options.treatment;
  const bool skips_all = treatment.name == "knorm_skip2" && stage.engine.config().n_layers <= 2;
  if (treatment.policy == "full" || skips_all ||
      treatment.budget.kind != policy::BudgetKind::kCount)
    return;
  EXPECT_GT(alone->turns().front().events.at(0).loss.n_by_treatment, 0U) << "nothing to compare";
}

// One test a model, not one a name: loading is what costs.
class ForkedArm : public testing::TestWithParam<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Models, ForkedArm,
                         testing::Values(std::pair("llama-f32", "40"),
                                         std::pair("gemma3-f32", "40"),
                                         std::pair("gemma3-sliding-f32", "6")));  // < window

TEST_P(ForkedArm, IsTheArmRunAloneBitForBitUnderEveryTreatment) {
  const auto [model, budget] = GetParam();
  Stage stage(model, with_numerics(Numerics::kStrict, 1));
  for (const std::string& name : every_treatment_name()) {
    for (const char* positions : {"original", "compact", "colliding"}) {
      SCOPED_TRACE(name + " " + positions);
      const SessionOptions options = arm(name, {{"budget", budget}, {"positions", positions}});
      // More protected cells than the window holds.
      if (budget[0] == '6' && options.treatment.protection.last_cells > 0) continue;
      // Refused: the source gathers the reply's queries, not the user's.
      if (options.treatment.observe == policy::Observe::kLastUserTokens) continue;
      expect_fork_is_alone(stage, options);
    }
  }
}

TEST(Fork, ADifferentWindowSeesItsOwnLastQueriesOnly) {
  Stage stage("llama-f32");
  const auto trunk = session_of(stage, trunk_for({.attention_window = 64}));
  turn_of(stage.engine, *trunk, kFirst);
  std::vector<KeptRanges> kept;
  for (const char* window : {"2", "16"}) {
    const auto fork = trunk->fork(
        stage.engine, arm("snapkv", {{"budget", "20"}, {"window", window}, {"kernel", "1"}}));
    kept.push_back(fork->turns().back().events.at(0).kept);
  }
  EXPECT_NE(kept[0], kept[1]) << "else the test above could not see a window that is too wide";
}

TEST(Fork, TheSameArmCanBeCopiedAtAnyTurn) {
  Stage stage("llama-f32");
  const SessionOptions options = arm("lagkv_recursive", {});
  const auto source = session_of(stage, options);
  turn_of(stage.engine, *source, kFirst);
  turn_of(stage.engine, *source, kSecond);
  const auto copy = source->fork(stage.engine, options);
  expect_same_records(*source, *copy);
  const std::vector<float> logits = turn_of(stage.engine, *source, kFirst);
  EXPECT_TRUE(same_bits(logits, turn_of(stage.engine, *copy, kFirst)));
  expect_same_records(*source, *copy);
}

TEST(Fork, IsRefusedWhereAnArmAloneWouldHaveDoneOtherwise) {
  Stage stage("llama-f32");
  const auto trunk = session_of(stage, arm("none", {}));
  turn_of(stage.engine, *trunk, kFirst);
  const SessionOptions knorm = arm("knorm", {{"budget", "20"}});
  EXPECT_EQ(trunk->why_no_fork(knorm), "");
  EXPECT_NE(trunk->why_no_fork(arm("snapkv", {{"budget", "20"}})), "") << "no queries gathered";
  EXPECT_NE(trunk->why_no_fork(arm("h2o", {{"budget", "20"}})), "") << "no sums gathered";
  SessionOptions cap = knorm;
  cap.treatment = policy::make_treatment("knorm", {{"budget", "20"}, {"trigger", "cap"}});
  EXPECT_NE(trunk->why_no_fork(cap), "") << "it would have acted during the reply";
  SessionOptions warm = knorm;
  warm.sampling.temperature = 1.0F;
  EXPECT_NE(trunk->why_no_fork(warm), "") << "the reply was sampled otherwise";
  const auto evicted = trunk->fork(stage.engine, knorm);
  ASSERT_GT(evicted->turns().back().events.at(0).loss.n_by_treatment, 0U);
  EXPECT_NE(evicted->why_no_fork(arm("none", {})), "") << "cells are gone";
  EXPECT_THROW(evicted->fork(stage.engine, arm("none", {})), Error);
  turn_of(stage.engine, *trunk, kSecond);
  EXPECT_NE(trunk->why_no_fork(knorm), "") << "the event of the first turn is missing";
  trunk->begin_turn(say(kSecond), 4);
  EXPECT_NE(trunk->why_no_fork(arm("none", {})), "") << "a turn is under way";
}

}  // namespace
}  // namespace ebb::engine
