// Numbers of table 1 against a plain recomputation from scores.csv, and the printed forms.
#include "report/table1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "eval/scoring.h"
#include "report/csv.h"
#include "report/exports.h"
#include "report/made_study.h"
#include "report/report_html.h"

namespace ebb::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr AnalyseOptions kQuick{.n_bootstraps = 199, .n_permutations = 199, .n_dose_draws = 99};

using Records = std::vector<std::vector<std::string>>;

// RFC 4180, written again so that the writer is not its own judge.
Records parse_csv(const std::string& text) {
  Records out(1);
  out[0].emplace_back();
  bool is_inside = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_inside) {
      if (c != '"') {
        out.back().back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        out.back().back() += '"';
        ++i;
      } else {
        is_inside = false;
      }
    } else if (c == '"') {
      is_inside = true;
    } else if (c == ',') {
      out.back().emplace_back();
    } else if (c == '\n') {
      out.push_back({""});
    } else {
      out.back().back() += c;
    }
  }
  out.pop_back();
  return out;
}

std::map<std::string, std::string> named(const Records& records, size_t row) {
  std::map<std::string, std::string> out;
  for (size_t i = 0; i < records[0].size(); ++i) out[records[0][i]] = records[row][i];
  return out;
}

// arm -> conversation -> mean over seeds.
std::map<std::string, std::map<std::string, double>> means_of(const std::string& scores,
                                                              const std::string& endpoint) {
  const Records records = parse_csv(scores);
  std::map<std::string, std::map<std::string, std::pair<double, int>>> sums;
  for (size_t i = 1; i < records.size(); ++i) {
    const auto row = named(records, i);
    if (row.at("endpoint") != endpoint) continue;
    auto& [sum, n] = sums[row.at("arm")][row.at("conversation")];
    sum += std::stod(row.at("score"));
    ++n;
  }
  std::map<std::string, std::map<std::string, double>> out;
  for (const auto& [arm, conversations] : sums) {
    for (const auto& [id, entry] : conversations) out[arm][id] = entry.first / entry.second;
  }
  return out;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Two-sided, by all signs.
double sign_flip_p(const std::vector<double>& differences) {
  const double observed = std::fabs(mean_of(differences));
  const size_t n_all = size_t{1} << differences.size();
  size_t n_extreme = 0;
  for (size_t signs = 0; signs < n_all; ++signs) {
    std::vector<double> flipped = differences;
    for (size_t i = 0; i < flipped.size(); ++i) {
      if (((signs >> i) & 1U) != 0) flipped[i] = -flipped[i];
    }
    n_extreme += std::fabs(mean_of(flipped)) >= observed - 1e-12 ? 1 : 0;
  }
  return static_cast<double>(n_extreme) / static_cast<double>(n_all);
}

TEST(Table1, FollowsFromScores) {
  const StudyData data = made_study();
  const auto means = means_of(scores_csv(data), "rules");
  const Records table = parse_csv(table1_csv(analyse(data, kQuick)));
  ASSERT_EQ(table.size(), 1 + data.study.arms.size() + data.study.contrasts.size());
  for (size_t i = 1; i < table.size(); ++i) {
    const auto row = named(table, i);
    std::vector<double> values;
    for (const auto& [id, value] : means.at(row.at("arm"))) values.push_back(value);
    EXPECT_NEAR(std::stod(row.at("mean")), mean_of(values), 1e-12);
    double squares = 0;
    for (const double value : values) squares += std::pow(value - mean_of(values), 2);
    EXPECT_NEAR(std::stod(row.at("sd")), std::sqrt(squares / 5), 1e-12);
    EXPECT_EQ(row.at("n_conversations"), "6");
    EXPECT_EQ(row.at("n_seeds"), "4");
    if (row.at("contrast").empty()) continue;
    const record::ContrastInfo& contrast = data.study.contrasts[i - 1 - data.study.arms.size()];
    ASSERT_EQ(row.at("contrast"), contrast.name);
    std::vector<double> differences;
    for (const auto& [id, first] : means.at(contrast.first)) {
      differences.push_back(first - means.at(contrast.second).at(id));
    }
    EXPECT_NEAR(std::stod(row.at("diff")), mean_of(differences), 1e-9);
    EXPECT_EQ(row.at("family"), contrast.family);
    if (contrast.second == "lazy_arm") {
      EXPECT_EQ(row.at("p"), "");
      EXPECT_EQ(row.at("note"), "identical by construction");
      continue;
    }
    EXPECT_NEAR(std::stod(row.at("p")), sign_flip_p(differences), 1e-12);
    // The identical contrast counts in the family of two.
    const double times = contrast.family == "confirmatory" ? 2 : 1;
    EXPECT_NEAR(std::stod(row.at("p_corrected")), times * sign_flip_p(differences), 1e-12);
  }
}

TEST(Table1, FactsAreOfTheCacheThatTheLastReplyWasMadeFrom) {
  const Records table = parse_csv(table1_csv(analyse(made_study(), kQuick)));
  const auto row = named(table, 2);
  EXPECT_EQ(row.at("arm"), "streaming_128");
  EXPECT_NEAR(std::stod(row.at("cells_kept")), 36, 1e-9);  // after turn 2 of 3
  EXPECT_NEAR(std::stod(row.at("bytes_kept")), 18432, 1);
  EXPECT_NEAR(std::stod(row.at("cap_hit_rate")), 1.0 / 6, 1e-12);
}

TEST(Table1, DoesNotDependOnTheOrderOfUnits) {
  StudyData data = made_study();
  const std::string before = table1_csv(analyse(data, kQuick));
  const std::string scores = scores_csv(data) + items_csv(data) + turns_csv(data);
  const std::string doses = dose_csv(analyse(data, kQuick));
  std::reverse(data.units.begin(), data.units.end());
  std::reverse(data.scores.units.begin(), data.scores.units.end());
  std::reverse(data.scores.items.begin(), data.scores.items.end());
  EXPECT_EQ(table1_csv(analyse(data, kQuick)), before);
  EXPECT_EQ(scores_csv(data) + items_csv(data) + turns_csv(data), scores);
  EXPECT_EQ(dose_csv(analyse(data, kQuick)), doses);
}

TEST(Table1, AMissingArmStaysInItsFamily) {
  StudyData data = made_study();
  std::erase_if(data.scores.units, [](const auto& score) { return score.arm == "lazy_arm"; });
  const Analysis analysis = analyse(data, kQuick);
  const Records table = parse_csv(table1_csv(analysis));
  const auto h1 = named(table, table.size() - 3);
  const auto h2 = named(table, table.size() - 2);
  EXPECT_EQ(h1.at("contrast"), "H1");
  EXPECT_NEAR(std::stod(h1.at("p_corrected")), 2 * std::stod(h1.at("p")), 1e-12);
  EXPECT_EQ(h2.at("mean"), "");
  EXPECT_THAT(h2.at("note"), HasSubstr("no scores of arm 'lazy_arm'"));
  EXPECT_THAT(analysis.warnings, testing::Contains(HasSubstr("no scores of arm 'lazy_arm'")));
}

TEST(Table1, McNemarOnSharesFallsBackAndSaysSo) {
  StudyData data = made_study();
  for (const char* test : {"mcnemar", "mcnemar_midp"}) {
    data.study.test = test;
    const Records table = parse_csv(table1_csv(analyse(data, kQuick)));
    EXPECT_THAT(named(table, table.size() - 1).at("note"), HasSubstr("instead of McNemar")) << test;
  }
  data.study.test = "chi";
  EXPECT_THAT([&] { analyse(data, kQuick); }, testing::ThrowsMessage<Error>(HasSubstr("'chi'")));
}

TEST(Exports, EveryEndpointHasItsOwnMarginOfEquivalence) {
  const Records table = parse_csv(stats_csv(analyse(made_study(), kQuick)));
  std::map<std::string, std::string> margins;  // of H1, by endpoint
  for (size_t i = 1; i < table.size(); ++i) {
    const auto row = named(table, i);
    if (row.at("contrast") != "H1") continue;
    EXPECT_EQ(row.at("is_equivalent").empty(), row.at("margin").empty());
    if (row.at("class").empty()) margins[row.at("endpoint")] = row.at("margin");
    if (row.at("class").empty() && row.at("endpoint") != "rules") {
      EXPECT_EQ(row.at("family"), "exploratory");
    }
  }
  EXPECT_THAT(margins, testing::ElementsAre(std::pair("recall", "0.2"), std::pair("retention", ""),
                                            std::pair("rules", "0.1")));
}

TEST(Table1, PrintedFormsEscapeWhatTheirReadersWouldInterpret) {
  const Analysis analysis = analyse(made_study(), kQuick);
  const std::string tex = table1_tex(analysis);
  EXPECT_THAT(tex, HasSubstr("streaming\\_128"));
  EXPECT_THAT(tex, HasSubstr("50\\%"));
  EXPECT_THAT(table1_md(analysis), HasSubstr("knorm &lt;64&gt;"));
}

TEST(Table1, AMarginNamesItsEndpointAndUnit) {
  StudyData data = made_study();
  Analysis analysis = analyse(data, kQuick);
  EXPECT_THAT(table1_md(analysis), HasSubstr("(within 0.1 of rules)"));
  data.study.primary_endpoint = "recall";
  analysis = analyse(data, kQuick);
  EXPECT_THAT(table1_md(analysis), HasSubstr("(within 0.2 nats a token of recall)"));
  EXPECT_THAT(report_html(data, analysis, {}),
              HasSubstr("<td class=\"left\">0.2 nats a token of recall</td>"));
}

TEST(Table1, FitsTheTerminal) {
  const Analysis analysis = analyse(made_study(), kQuick);
  const std::string text = table1_terminal(analysis, 80);
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    EXPECT_LE(end - begin, 80U) << text.substr(begin, end - begin);
    begin = end + 1;
  }
  EXPECT_THAT(text, HasSubstr("more columns in table1.csv"));
  EXPECT_THAT(table1_terminal(analysis, 400), Not(HasSubstr("more columns")));
}

TEST(Csv, TextsComeBackAsTheyWere) {
  Csv csv({"a", "b"});
  csv.add({kHostile, "x\ny"});
  const Records records = parse_csv(csv.text());
  EXPECT_EQ(records[1][0], kHostile);
  EXPECT_EQ(records[1][1], "x\ny");
  EXPECT_EQ(number_text(0.1), "0.1");
  EXPECT_EQ(number_text(-0.0), "0");
  const double third = 1.0 / 3;
  EXPECT_EQ(std::stod(number_text(third)), third);
}

TEST(Exports, RepliesAreTexts) {
  const StudyData data = made_study();
  const Records turns = parse_csv(turns_csv(data));
  ASSERT_EQ(turns.size(), 1 + data.units.size() * 3);
  EXPECT_THAT(named(turns, 1).at("reply"), HasSubstr(kHostile));
  EXPECT_EQ(named(turns, 1).at("arm"), "baseline");
}

// Of the probes of one class: over a conversation first, then over conversations.
double mean_recall(const StudyData& data, const std::string& arm, const std::string& name) {
  std::map<std::string, std::vector<double>> conversations;
  for (const record::ProbeScore& probe : data.scores.probes) {
    if (probe.arm != arm || probe.instruction_class != name) continue;
    conversations[probe.conversation].push_back(probe.loglik);
  }
  std::vector<double> means;
  for (const auto& [id, values] : conversations) means.push_back(mean_of(values));
  return mean_of(means);
}

TEST(Classes, HoldThePrimaryEndpointWhenItIsRecall) {
  StudyData data = made_study();
  data.study.primary_endpoint = "recall";
  for (record::ProbeScore& probe : data.scores.probes) {
    if (probe.arm == "no_instruction" && probe.instruction_class == "formal") {
      probe.loglik -= 2 + 0.1 * static_cast<double>(probe.conversation.back() - '0');
    }
  }
  const Analysis analysis = analyse(data, kQuick);
  ASSERT_EQ(analysis.classes.size(), 2U);
  EXPECT_EQ(analysis.classes[0].assessability.state, Assessability::State::kAssessable);
  EXPECT_NEAR(analysis.classes[0].assessability.diff->mean, 2.25, 1e-12);
  EXPECT_EQ(analysis.classes[1].assessability.state, Assessability::State::kNotAssessable);
  size_t n_rows = 0;
  const Records stats = parse_csv(stats_csv(analysis));
  for (size_t i = 1; i < stats.size(); ++i) {
    const auto row = named(stats, i);
    if (row.at("class").empty() || !row.at("contrast").empty()) continue;
    EXPECT_EQ(row.at("endpoint"), "recall");
    EXPECT_NEAR(std::stod(row.at("mean")), mean_recall(data, row.at("arm"), row.at("class")),
                1e-12);
    ++n_rows;
  }
  EXPECT_EQ(n_rows, 2 * data.study.arms.size());
}

TEST(Classes, AreAbsentWhereTheEndpointIsOfAWholeUnit) {
  StudyData data = made_study();
  data.study.primary_endpoint = "retention";
  const Analysis analysis = analyse(data, kQuick);
  EXPECT_TRUE(analysis.classes.empty());
  const Records stats = parse_csv(stats_csv(analysis));
  for (size_t i = 1; i < stats.size(); ++i) EXPECT_EQ(named(stats, i).at("class"), "");
  EXPECT_THAT(report_html(data, analysis, {}), HasSubstr("there is none by class"));
}

// An overridden instruction is asked back too, but counts neither in the endpoint nor in the curve.
TEST(Dose, RecallIsThatOfTheEndpoint) {
  StudyData data = made_study();
  for (record::ConversationText& conversation : data.conversations) {
    conversation.conflict_type = "none";
    conversation.turns.back().expects = "second";
    for (record::InstructionText& each : conversation.instructions) each.rules.clear();
  }
  data.scores = eval::score_units(data.study, data.conversations, data.units, nullptr);
  data.study.primary_endpoint = "recall";
  std::map<std::string, double> recall;
  for (const record::UnitScore& score : data.scores.units) {
    if (score.endpoint == "recall") recall[score.unit_id] = score.score;
  }
  const DoseCurve curve = analyse(data, kQuick).doses.front();
  ASSERT_EQ(curve.points.size(), 24U);
  for (const DosePoint& point : curve.points) EXPECT_EQ(point.value, recall.at(point.unit_id));
}

TEST(Dose, LeavesOutArmsThatEvictWithinTheTurn) {
  StudyData data = made_study();
  for (record::ArmInfo& arm : data.study.arms) {
    if (arm.name == "random" || arm.name == "streaming_64") arm.settings["trigger"] = "cap";
  }
  const Analysis analysis = analyse(data, kQuick);
  for (const DoseCurve& curve : analysis.doses) {
    EXPECT_TRUE(curve.points.empty() && !curve.response) << curve.outcome;
    EXPECT_THAT(curve.empty_reason, HasSubstr("acts between turns"));
    EXPECT_EQ(curve.left_out, (std::vector<std::string>{"streaming_64", "random"}));
    for (const DoseArm& arm : curve.arms) EXPECT_NE(arm.arm, "streaming_64");
  }
  EXPECT_THAT(report_html(data, analysis, {}),
              HasSubstr("Left out, as query-visible: streaming_64, random."));
}

TEST(Dose, RandomArmIsTheExperiment) {
  const Analysis analysis = analyse(made_study(), kQuick);
  const DoseCurve& recall = analysis.doses.front();
  EXPECT_EQ(recall.outcome, "recall");
  EXPECT_EQ(recall.points.size(), 24U);
  ASSERT_TRUE(recall.response && recall.response->slope.slope);
  EXPECT_NEAR(*recall.response->slope.slope, 3, 1e-9);  // as the study was made
  EXPECT_EQ(recall.arms.size(), 5U);                    // all but random and no_instruction
}

}  // namespace
}  // namespace ebb::report
