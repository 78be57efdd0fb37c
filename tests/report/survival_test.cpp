// What is left of instructions, by layer and head, as exported.
#include "report/survival.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "report/made_study.h"
#include "report/report_html.h"

namespace ebb::report {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pointwise;

// Of one instruction of one arm in the first conversation, without the unit's name.
std::vector<std::string> rows_of(const std::string& csv, const std::string& arm,
                                 const std::string& instruction) {
  std::vector<std::string> out;
  std::istringstream in(csv);
  const std::string wanted = "c00," + arm + ",1," + instruction + ",";
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(wanted);
    if (at != std::string::npos) out.push_back(line.substr(at + wanted.size()));
  }
  return out;
}

const LayerShares& of_arm(const std::vector<LayerShares>& all, const std::string& arm) {
  for (const LayerShares& each : all) {
    if (each.arm == arm) return each;
  }
  throw std::runtime_error("no " + arm);
}

TEST(Survival, OneRowALayerAndHeadBesideVerdictAndRecall) {
  StudyData data = made_study();
  for (record::ItemScore& item : data.scores.items) item.rule_strict = 0.5;
  for (record::UnitRecord& unit : data.units) {
    for (record::RecallProbe& probe : unit.recall) probe.loglik = -2.5;
  }
  const std::string csv = survival_csv(data);
  EXPECT_THAT(rows_of(csv, "streaming_64", "i2"),
              ElementsAre("active,0.5,-2.5,0,0,5,0,0", "active,0.5,-2.5,0,1,5,3,0.6",
                          "active,0.5,-2.5,1,0,5,1,0.2", "active,0.5,-2.5,1,1,5,3,0.6",
                          "active,0.5,-2.5,2,0,5,0,0", "active,0.5,-2.5,2,1,5,3,0.6",
                          "active,0.5,-2.5,3,0,5,1,0.2", "active,0.5,-2.5,3,1,5,5,1"));
  const std::vector<std::string> whole = rows_of(csv, "baseline", "i1");
  ASSERT_EQ(whole.size(), 8U);
  EXPECT_EQ(whole[7], "active,0.5,-2.5,3,1,5,5,1");
  EXPECT_THAT(rows_of(csv, "no_instruction", "i1"), IsEmpty());
}

TEST(Survival, QueryVisibleArmsAreDescribedAfterTheLastTurn) {
  StudyData data = made_study();
  for (record::ArmInfo& arm : data.study.arms) {
    if (arm.name == "streaming_64") arm.settings["trigger"] = "prompt_end";
  }
  const std::vector<std::string> rows = rows_of(survival_csv(data), "streaming_64", "i1");
  ASSERT_EQ(rows.size(), 8U);
  EXPECT_THAT(rows[1], HasSubstr(",0,1,5,2,0.4"));
}

TEST(Survival, WhatIsSaidTwiceCountsTogether) {
  StudyData data = made_study();
  for (record::UnitRecord& unit : data.units) {
    if (unit.arm == "streaming_64") unit.spans.push_back(unit.spans.front());
  }
  const std::vector<std::string> rows = rows_of(survival_csv(data), "streaming_64", "i1");
  ASSERT_EQ(rows.size(), 8U);
  EXPECT_THAT(rows[1], HasSubstr(",0,1,10,6,0.6"));
}

TEST(Survival, MeansByLayer) {
  const StudyData data = made_study();
  const std::vector<LayerShares> all = layer_shares(data);
  EXPECT_EQ(all.size(), data.study.arms.size() - 1);
  EXPECT_EQ(all.front().arm, "baseline");
  EXPECT_EQ(all.front().n_conversations, 6U);
  EXPECT_THAT(of_arm(all, "streaming_64").shares,
              Pointwise(DoubleNear(1e-12), {0.3, 0.4, 0.3, 0.6}));
  EXPECT_THAT(of_arm(all, "lazy_arm").shares, ElementsAre(1, 1, 1, 1));
}

TEST(Survival, RecordsOfBeforeItWasKeptGiveAHeaderOnly) {
  StudyData data = made_study();
  for (record::UnitRecord& unit : data.units) {
    for (record::SpanRecord& span : unit.spans) span.cells_left.clear();
  }
  EXPECT_THAT(survival_csv(data), HasSubstr("layer,head,tokens,cells,share\n"));
  EXPECT_EQ(survival_csv(data).find('\n') + 1, survival_csv(data).size());
  EXPECT_THAT(layer_shares(data), IsEmpty());
  EXPECT_THAT(report_html(data, analyse(data, {99, 99, 99}), {}),
              Not(HasSubstr("id=\"survival\"")));
}

TEST(Survival, ThePageHasAStripForEveryArm) {
  const StudyData data = made_study();
  const std::string page = report_html(data, analyse(data, {99, 99, 99}), {});
  EXPECT_THAT(page, HasSubstr("<td class=\"left\">lazy_arm</td>"
                              "<td style=\"background:rgb(86,160,211)\">100</td>"));
  EXPECT_THAT(page, HasSubstr("<td class=\"left\">knorm &lt;64&gt;, &quot;50%&quot;</td>"
                              "<td style=\"background:rgb(204,"));
  EXPECT_THAT(page, HasSubstr(",198,229)\">60</td></tr>"));
}

}  // namespace
}  // namespace ebb::report
