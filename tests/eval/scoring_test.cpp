#include "eval/scoring.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "eval/scored_items.h"

namespace ebb::eval {
namespace {

using record::ConversationText;
using record::UnitRecord;

// "first" asks for no comma and is given in turn 1; "second" asks for one and is given in turn 2.
ConversationText commas() {
  ConversationText conversation;
  conversation.id = "c1";
  conversation.conflict_type = "style";
  conversation.instructions = {
      {.id = "first",
       .text = "Use no commas.",
       .rules = {R"({"id": "punctuation:no_comma"})"},
       .active_from = {},
       .active_until = {},
       .overridden_by = ""},
      {.id = "second",
       .text = "Say yes, please.",
       .rules = {R"({"id": "ebb:contains", "parameters": {"texts": ["yes, please"]}})"},
       .active_from = {},
       .active_until = {},
       .overridden_by = ""}};
  for (int turn = 1; turn <= 3; ++turn) {
    record::TurnText text;
    text.turn_id = turn;
    text.speaker = "user";
    text.instruction_id = turn == 1 ? "first" : turn == 2 ? "second" : "";
    conversation.turns.push_back(text);
  }
  return conversation;
}

record::UnitTurn turn(int id, const std::string& reply) {
  record::UnitTurn turn;
  turn.turn_id = id;
  turn.reply = reply;
  return turn;
}

UnitRecord unit(const std::string& arm, const std::string& last_reply, uint64_t seed = 1) {
  UnitRecord unit;
  unit.unit_id = arm + "-" + std::to_string(seed);
  unit.arm = arm;
  unit.conversation = "c1";
  unit.seed = seed;
  unit.turns = {turn(1, "none"), turn(2, "none"), turn(3, last_reply)};
  return unit;
}

record::StudyInfo study() {
  record::StudyInfo study;
  study.name = "s";
  for (const auto& [name, kind] : std::vector<std::pair<std::string, std::string>>{
           {"base", "baseline"}, {"evict", "treatment"}, {"unseen", "no_instruction"}}) {
    record::ArmInfo arm;
    arm.name = name;
    arm.kind = kind;
    study.arms.push_back(arm);
  }
  return study;
}

std::optional<double> score_of(const record::StudyScores& scores, const std::string& unit_id,
                               const std::string& endpoint) {
  for (const record::UnitScore& score : scores.units) {
    if (score.unit_id == unit_id && score.endpoint == endpoint) return score.score;
  }
  return std::nullopt;
}

record::StudyScores run(const ConversationText& conversation, const std::vector<UnitRecord>& units,
                        const JudgeAnswers* judge = nullptr,
                        const record::StudyInfo& info = study()) {
  return score_units(info, std::vector{conversation}, units, judge);
}

std::string states(const ConversationText& conversation, int turn_id) {
  std::string out;
  for (const ScoredItem& item : items_at(conversation, turn_id)) {
    out += (item.state == ItemState::kActive ? "+" : "-") + item.instruction->id + " ";
  }
  return out;
}

TEST(ActiveInstructions, BeginWhereTheyAreGivenAndEndWithTheirRange) {
  ConversationText conversation = commas();
  EXPECT_EQ(states(conversation, 1), "+first ");
  EXPECT_EQ(states(conversation, 2), "+first +second ");
  conversation.instructions[0].active_until = 2;
  EXPECT_EQ(states(conversation, 2), "+first +second ");
  EXPECT_EQ(states(conversation, 3), "-first +second ");
  conversation.instructions[1].active_from = 3;  // given in turn 2, but only for turn 3
  EXPECT_EQ(states(conversation, 2), "+first ");
}

TEST(ActiveInstructions, EndWhenTheOneThatOverridesThemHasBegun) {
  ConversationText conversation = commas();
  conversation.instructions[0].overridden_by = "second";
  EXPECT_EQ(states(conversation, 1), "+first ");
  EXPECT_EQ(states(conversation, 2), "-first +second ");
  conversation.instructions[1].active_until = 2;  // an override is for good
  EXPECT_EQ(states(conversation, 3), "-first -second ");
}

TEST(ActiveInstructions, FollowWhatTheTurnExpects) {
  ConversationText conversation = commas();
  conversation.instructions[0].overridden_by = "second";
  conversation.turns[2].expects = "first";
  EXPECT_EQ(states(conversation, 3), "+first -second ");
  conversation.turns[2].expects = "both";
  EXPECT_EQ(states(conversation, 3), "+first +second ");
  conversation.turns[2].expects = "neither";
  EXPECT_EQ(states(conversation, 3), "-first -second ");
}

void expect_error(const ConversationText& conversation, const std::vector<std::string>& parts) {
  try {
    run(conversation, {unit("base", "yes")});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
}

TEST(ActiveInstructions, RefuseWhatMakesNoSense) {
  ConversationText conversation = commas();
  conversation.instructions[0].overridden_by = "secnd";
  expect_error(conversation, {"c1", "first", "did you mean 'second'"});
  conversation = commas();
  conversation.turns[2].expects = "frist";
  expect_error(conversation, {"c1", "turn 3", "did you mean 'first'"});
  conversation = commas();
  conversation.instructions.pop_back();
  conversation.turns[2].expects = "second";
  expect_error(conversation, {"c1", "turn 3", "1 instruction"});
  conversation = commas();
  conversation.turns[1].instruction_id = "";
  expect_error(conversation, {"c1", "second", "no turn that gives it"});
  conversation = commas();
  conversation.turns.pop_back();
  expect_error(conversation, {"c1", "no turn 3"});
}

TEST(Scoring, NamesConversationInstructionAndRuleOfABadRule) {
  ConversationText conversation = commas();
  conversation.instructions[1].rules = {R"({"id": "punctuation:no_coma"})"};
  expect_error(conversation, {"c1", "second", "no_coma", "did you mean"});
}

TEST(Scoring, IsTheMeanOverActiveInstructions) {
  const record::StudyScores scores = run(commas(), {unit("base", "no comma here")});
  EXPECT_EQ(scores.items.size(), 2U);  // of the last turn only
  EXPECT_EQ(score_of(scores, "base-1", "rules"), 0.5);
  EXPECT_EQ(score_of(scores, "base-1", "combined"), 0.5);
  EXPECT_FALSE(score_of(scores, "base-1", "perseveration"));
  EXPECT_FALSE(score_of(scores, "base-1", "judge"));
  EXPECT_EQ(scores.items[0].instruction_class, "punctuation:no_comma");
}

TEST(Scoring, ReportsOutdatedInstructionsApart) {
  ConversationText conversation = commas();
  conversation.instructions[0].overridden_by = "second";
  const record::StudyScores scores =
      run(conversation, {unit("base", "Oh yes, please"), unit("evict", "no comma here")});
  EXPECT_EQ(score_of(scores, "base-1", "rules"), 1.0);
  EXPECT_EQ(score_of(scores, "base-1", "perseveration"), 0.0);
  EXPECT_EQ(score_of(scores, "evict-1", "rules"), 0.0);
  EXPECT_EQ(score_of(scores, "evict-1", "perseveration"), 1.0);
}

TEST(Scoring, GivesEveryScoredTurnTheSameWeight) {
  ConversationText conversation = commas();
  conversation.turns[0].expects = "first";
  UnitRecord one = unit("base", "no comma here");  // 1/2 in turn 3
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "rules"), 0.75);
  one.turns[0].is_recorded = true;  // no reply of the model's
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "rules"), 0.5);
}

TEST(Scoring, LooseForgivesAFirstLine) {
  const record::StudyScores scores = run(commas(), {unit("base", "Well, sure:\nno comma here")});
  EXPECT_EQ(score_of(scores, "base-1", "rules"), 0.0);
  EXPECT_EQ(score_of(scores, "base-1", "rules_loose"), 0.5);
}

// The second instruction has no rule, so only a judge can say.
ConversationText half_judged() {
  ConversationText conversation = commas();
  conversation.instructions[1].rules.clear();
  return conversation;
}

TEST(Scoring, WithoutAJudgeSaysNotRunAndGuessesNothing) {
  const record::StudyScores scores = run(half_judged(), {unit("base", "fine")});
  EXPECT_EQ(scores.items[1].judge_state, "not run");
  EXPECT_EQ(scores.items[0].judge_state, "");
  EXPECT_FALSE(scores.items[1].rule_strict);
  EXPECT_EQ(score_of(scores, "base-1", "rules"), 1.0);
  EXPECT_FALSE(score_of(scores, "base-1", "combined"));
}

TEST(Scoring, CombinesRuleWhereThereIsOneElseJudge) {
  JudgeAnswers judge{"j", {{{"base-1", 3, "second"}, {0.0, "said no"}}}};
  const record::StudyScores scores = run(half_judged(), {unit("base", "fine")}, &judge);
  EXPECT_EQ(score_of(scores, "base-1", "judge"), 0.0);
  EXPECT_EQ(score_of(scores, "base-1", "combined"), 0.5);
  EXPECT_EQ(scores.n_pending, 0U);
  EXPECT_EQ(scores.judge_name, "j");
}

TEST(Scoring, TreatsAPendingAnswerAsNoScore) {
  JudgeAnswers judge{"j", {{{"base-1", 3, "second"}, {std::nullopt, "timed out"}}}};
  const record::StudyScores scores = run(half_judged(), {unit("base", "fine")}, &judge);
  EXPECT_EQ(scores.items[1].judge_state, "pending");
  EXPECT_EQ(scores.n_pending, 1U);
  EXPECT_FALSE(score_of(scores, "base-1", "judge"));
  EXPECT_FALSE(score_of(scores, "base-1", "combined"));
  EXPECT_EQ(score_of(scores, "base-1", "rules"), 1.0);
}

TEST(Scoring, WeighsRuleAndJudgeAsTheStudySays) {
  record::StudyInfo info = study();
  info.rule_weight = 1;
  info.judge_weight = 3;
  JudgeAnswers judge{"j",
                     {{{"base-1", 3, "first"}, {0.0, ""}}, {{"base-1", 3, "second"}, {1.0, ""}}}};
  const record::StudyScores scores = run(commas(), {unit("base", "fine")}, &judge, info);
  EXPECT_EQ(scores.items[0].combined, 0.25);  // rule 1, judge 0
  EXPECT_EQ(scores.items[1].combined, 0.75);  // rule 0, judge 1
  info.rule_weight = 0;
  info.judge_weight = 0;
  EXPECT_THROW(run(commas(), {unit("base", "fine")}, &judge, info), Error);
}

TEST(Scoring, RecallTakesTheProbesOfActiveInstructions) {
  ConversationText conversation = commas();
  UnitRecord one = unit("base", "fine");
  one.recall = {{"first", 4, -1.0, 1}, {"second", 9, -3.0, 1}};
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "recall"), -2.0);
  conversation.instructions[0].overridden_by = "second";
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "recall"), -3.0);
  conversation.turns[2].expects = "neither";
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "recall"), -2.0);
}

TEST(Scoring, ProbesThatCountAreTheOnesThatRecallIsTheMeanOf) {
  ConversationText conversation = commas();
  conversation.instructions[0].overridden_by = "second";
  UnitRecord one = unit("base", "fine");
  one.recall = {{"first", 4, -1.0, 0.5}, {"second", 9, -3.0, 0.25}};
  const record::StudyScores scores = run(conversation, {one});
  ASSERT_EQ(scores.probes.size(), 1U);
  EXPECT_EQ(scores.probes[0].instruction_id, "second");
  EXPECT_EQ(scores.probes[0].instruction_class, "ebb:contains");
  EXPECT_EQ(scores.probes[0].loglik, -3.0);
  EXPECT_EQ(scores.probes[0].kept_share, 0.25);
}

// A study of recall alone does not run the last turn; its probes are the same ones.
TEST(Scoring, RecallDoesNotDependOnWhetherTheLastTurnWasRun) {
  ConversationText conversation = commas();
  conversation.turns[2].expects = "second";
  UnitRecord one = unit("base", "fine");
  one.recall = {{"first", 4, -1.0, 1}, {"second", 9, -3.0, 1}};
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "recall"), -3.0);
  one.turns.pop_back();
  EXPECT_EQ(score_of(run(conversation, {one}), "base-1", "recall"), -3.0);
}

UnitRecord recalled(const std::string& arm, double loglik, uint64_t seed) {
  UnitRecord one = unit(arm, "fine", seed);
  one.recall = {{"first", 4, loglik, 1}};
  return one;
}

TEST(Scoring, RetentionLiesBetweenUnseenAndBaseline) {
  const record::StudyScores scores =
      run(commas(), {recalled("base", -1, 1), recalled("evict", -2, 1), recalled("unseen", -5, 1),
                     recalled("base", -3, 2), recalled("evict", -3, 3)});
  EXPECT_EQ(score_of(scores, "evict-1", "retention"), 0.75);
  EXPECT_EQ(score_of(scores, "base-1", "retention"), 1.0);
  EXPECT_EQ(score_of(scores, "unseen-1", "retention"), 0.0);
  // Seed 3 has no baseline of its own: the mean over seeds, -2, stands in.
  EXPECT_NEAR(score_of(scores, "evict-3", "retention").value(), 2.0 / 3, 1e-12);
}

TEST(Scoring, RetentionIsAbsentWhereTheInstructionTeachesNothing) {
  const record::StudyScores scores = run(
      commas(), {recalled("base", -4.97, 1), recalled("evict", -2, 1), recalled("unseen", -5, 1)});
  EXPECT_FALSE(score_of(scores, "evict-1", "retention"));
  EXPECT_FALSE(score_of(run(commas(), {recalled("evict", -2, 1)}), "evict-1", "retention"));
}

TEST(Scoring, FidelityCountsTokensAfterTheFirstLossOnly) {
  UnitRecord one = unit("evict", "fine");
  record::Fidelity before;
  before.n_tokens = 50;
  before.kl_mean = 9;
  one.turns[0].fidelity = before;  // no turns_since_loss: nothing was lost yet
  record::Fidelity after;
  after.n_tokens = 10;
  after.kl_mean = 1;
  after.top1_agreement = 0.5;
  after.delta_loglik = -1;
  one.turns[1].fidelity = after;
  one.turns[1].turns_since_loss = 0;
  after.n_tokens = 30;
  after.kl_mean = 2;
  after.top1_agreement = 0.9;
  one.turns[2].fidelity = after;
  one.turns[2].turns_since_loss = 1;
  const record::StudyScores scores = run(commas(), {one});
  EXPECT_DOUBLE_EQ(score_of(scores, "evict-1", "kl").value(), 1.75);
  EXPECT_DOUBLE_EQ(score_of(scores, "evict-1", "top1").value(), 0.8);
  EXPECT_DOUBLE_EQ(score_of(scores, "evict-1", "delta_loglik").value(), -1);
  EXPECT_FALSE(score_of(run(commas(), {unit("base", "fine")}), "base-1", "kl"));
}

}  // namespace
}  // namespace ebb::eval
