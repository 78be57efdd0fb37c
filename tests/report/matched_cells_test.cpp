// Which contrasts are of arms that should hold equally much, and what is said where they do not.
#include "report/matched_cells.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/made_study.h"
#include "report/report_html.h"
#include "report/table1.h"

namespace ebb::report {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

record::ArmInfo arm(const std::string& name, const std::string& policy,
                    const std::map<std::string, std::string>& settings,
                    const std::string& kind = "treatment") {
  return {name, kind, policy, settings, "original", ""};
}

// In both arms the last turn's event leaves 10 cells; what the last reply saw is n_first, n_second.
StudyData two_arms(const record::ArmInfo& first, uint64_t n_first, const record::ArmInfo& second,
                   uint64_t n_second) {
  StudyData data;
  data.conversations = {made_conversation(0)};
  data.study.arms = {first, second};
  data.study.contrasts = {{"H3", first.name, second.name, "confirmatory", {}}};
  for (const auto& [name, n] : {std::pair(first.name, n_first), std::pair(second.name, n_second)}) {
    record::UnitRecord unit;
    unit.arm = name;
    unit.conversation = "c00";
    unit.turns.resize(2);
    unit.turns[0].turn_id = 2;
    unit.turns[0].n_cells_after = n;
    unit.turns[1].turn_id = 3;
    unit.turns[1].n_cells_after = 10;
    data.units.push_back(unit);
  }
  return data;
}

TEST(MatchedCells, WarnsOfPoliciesThatHoldDifferentNumbers) {
  const auto streaming = arm("streaming", "streaming", {{"keep_recent", "100"}});
  const auto random = arm("random", "random", {{"budget", "200"}});
  EXPECT_THAT(unmatched_contrasts(two_arms(streaming, 2100, random, 3600)),
              testing::ElementsAre("contrast 'H3': streaming and random differ in cells: 2100 "
                                   "against 3600 over all layers and heads"));
  EXPECT_THAT(unmatched_contrasts(two_arms(streaming, 3600, random, 3570)), IsEmpty());
  EXPECT_THAT(unmatched_contrasts(two_arms(streaming, 3600, random, 3560)), Not(IsEmpty()));
}

TEST(MatchedCells, ADifferenceThatWasAskedForIsNone) {
  const auto half = arm("half", "snapkv", {{"share", "0.5"}});
  const auto quarter = arm("quarter", "streaming", {{"share", "0.25"}});
  EXPECT_FALSE(are_meant_to_match(half, quarter));
  EXPECT_TRUE(are_meant_to_match(half, arm("other", "streaming", {{"share", "0.5"}})));
  const auto sinks = arm("sinks", "streaming", {{"keep_initial", "4"}, {"positions", "original"}});
  EXPECT_FALSE(are_meant_to_match(sinks, arm("more", "streaming", {{"keep_initial", "50"}})));
  EXPECT_TRUE(are_meant_to_match(
      sinks, arm("compact", "streaming", {{"keep_initial", "4"}, {"positions", "compact"}})));
  EXPECT_TRUE(are_meant_to_match(sinks, arm("text", "full", {}, "text_removal")));
  EXPECT_FALSE(are_meant_to_match(sinks, arm("baseline", "full", {}, "baseline")));
}

TEST(MatchedCells, StandInTheNotesAndOnThePage) {
  constexpr AnalyseOptions kQuick{.n_bootstraps = 99, .n_permutations = 99, .n_dose_draws = 99};
  const StudyData data = made_study();  // both arms of "explore" have budget 128
  const Analysis analysis = analyse(data, kQuick);
  const std::string text = "streaming_128 and streaming_64 differ in cells: 288 against 144";
  EXPECT_THAT(analysis.warnings, Contains(HasSubstr(text)));
  EXPECT_THAT(printed_tables(analysis).notes, Contains(HasSubstr(text)));
  EXPECT_THAT(report_html(data, analysis, {}), HasSubstr(text));
}

}  // namespace
}  // namespace ebb::report
