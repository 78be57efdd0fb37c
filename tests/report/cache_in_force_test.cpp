// Which moment of a unit the sizes in tables and figures describe.
#include "report/cache_in_force.h"

#include <gtest/gtest.h>

#include "policy/treatment.h"
#include "policy/treatment_text.h"
#include "report/arm_facts.h"
#include "report/made_study.h"

namespace ebb::report {
namespace {

// Two turns; the second one's event takes most of what is there.
record::UnitRecord unit_of(const std::string& arm) {
  record::UnitRecord unit;
  unit.arm = arm;
  unit.conversation = "c00";
  for (const int id : {2, 3}) {
    record::UnitTurn turn;
    turn.turn_id = id;
    turn.cells_before = id == 2 ? 100 : 160;
    turn.cells_after = id == 2 ? 60 : 10;
    turn.n_cells_after = static_cast<uint64_t>(turn.cells_after) * 4;
    turn.n_removed = static_cast<uint64_t>(turn.cells_before - turn.cells_after) * 4;
    turn.bytes_cells = turn.n_cells_after * 32;
    unit.turns.push_back(turn);
  }
  return unit;
}

StudyData data_of(const std::string& trigger) {
  StudyData data;
  data.conversations = {made_conversation(0)};  // its last turn is 3
  record::ArmInfo baseline{"baseline", "baseline", "full", {}, "original", ""};
  record::ArmInfo arm{"arm", "treatment", "streaming", {{"trigger", trigger}}, "original", ""};
  data.study.arms = {baseline, arm};
  data.units = {unit_of("baseline"), unit_of("arm")};
  for (record::UnitTurn& turn : data.units[0].turns) {
    turn.cells_after = turn.cells_before = turn.turn_id == 2 ? 100 : 200;
    turn.n_removed = 0;
  }
  return data;
}

TEST(CacheInForce, IsTheOneAfterTheTurnBeforeTheLastReply) {
  const ArmFacts facts = arm_facts(data_of("turn_end")).back();
  EXPECT_EQ(facts.cells_kept, 60);
  EXPECT_EQ(facts.bytes_kept, 60 * 4 * 32);
  EXPECT_EQ(facts.kept_of_baseline, 0.6);
  EXPECT_FALSE(facts.is_query_visible);
}

TEST(CacheInForce, IsTheLastTurnsOwnWherePoliciesActWithinIt) {
  const ArmFacts facts = arm_facts(data_of("prompt_end")).back();
  EXPECT_EQ(facts.cells_kept, 10);
  EXPECT_EQ(facts.bytes_kept, 10 * 4 * 32);
  EXPECT_EQ(facts.kept_of_baseline, 0.05);  // of the baseline at the same moment
  EXPECT_TRUE(facts.is_query_visible);
}

TEST(CacheInForce, IsWholeInAConversationOfOneTurn) {
  StudyData data = data_of("turn_end");
  for (record::UnitRecord& unit : data.units) unit.turns.erase(unit.turns.begin());
  const ArmFacts facts = arm_facts(data).back();
  EXPECT_EQ(facts.cells_kept, 160);
  EXPECT_EQ(facts.bytes_kept, 160 * 4 * 32);
  EXPECT_TRUE(facts.never_removed);  // before a reply that could have missed it
}

// Without replies and fidelity the last turn is not run, and probes follow the turn before it.
TEST(CacheInForce, IsTheOneThatProbesSawWhereTheLastTurnWasNotRun) {
  StudyData data = data_of("turn_end");
  for (record::UnitRecord& unit : data.units) unit.turns.pop_back();
  const ArmFacts facts = arm_facts(data).back();
  EXPECT_EQ(facts.cells_kept, 60);
  EXPECT_FALSE(facts.never_removed);
}

TEST(QueryVisible, IsReadFromSettingsAsThePolicySeesIt) {
  for (const char* trigger : {"turn_end", "prompt_end", "cap", "every_n:4", "prompt_block:8",
                              "none", "prompt_end,turn_end", "turn_end,every_n:4"}) {
    const policy::Treatment treatment =
        policy::make_treatment("streaming", {{"trigger", trigger}, {"budget", "64"}});
    const record::ArmInfo arm{
        "a", "treatment", treatment.policy, policy::settings_of(treatment), "original", "all"};
    EXPECT_EQ(is_query_visible(arm), policy::sees_query(treatment)) << trigger;
    EXPECT_EQ(shown_scope(arm), policy::sees_query(treatment) ? "all, query-visible" : "all");
  }
  const policy::Treatment none = policy::make_treatment("none", {});
  EXPECT_FALSE(is_query_visible({"a", "baseline", none.policy, policy::settings_of(none), "", ""}));
}

}  // namespace
}  // namespace ebb::report
