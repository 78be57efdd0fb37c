// The files of a report: that they open, say what the analysis says, and let nothing through.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/platform.h"
#include "base/text.h"
#include "report/figure1.h"
#include "report/made_study.h"
#include "report/report_html.h"
#include "report/table1.h"
#include "report/write_report.h"

namespace ebb::report {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr AnalyseOptions kQuick{.n_bootstraps = 199, .n_permutations = 199, .n_dose_draws = 99};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path fresh_folder(const std::string& name) {
  // EBB_REPORT_OUT keeps the files for people to look at.
  const char* kept = std::getenv("EBB_REPORT_OUT");
  fs::path folder = (kept == nullptr ? fs::path(testing::TempDir()) : fs::path(kept)) / name;
  fs::remove_all(folder);
  return folder;
}

bool has_gnuplot() {
  const std::vector<std::string> argv{"gnuplot", "--version"};
  return platform::run_program(argv, std::chrono::seconds(20)).is_found;
}

TEST(Report, WritesEveryFile) {
  const fs::path folder = fresh_folder("report it's here");
  const WrittenReport report = write_report(made_study(), folder, kQuick);
  for (const char* name :
       {"scores.csv", "items.csv", "turns.csv", "stats.csv", "dose.csv", "survival.csv",
        "table1.csv", "table1.md", "table1.tex", "figure1.csv", "figure1.gp", "report.html"}) {
    EXPECT_GT(fs::file_size(folder / name), 0U) << name;
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    EXPECT_NE(entry.path().extension(), ".part");
  }
  if (!has_gnuplot()) GTEST_SKIP() << "no gnuplot: " << report.figure_problem;
  EXPECT_EQ(report.figure_problem, "");
  for (const char* name : {"figure1.svg", "figure1.png", "figure1.pdf"}) {
    EXPECT_GT(fs::file_size(folder / name), 1000U) << name;
  }
}

TEST(Report, DrawsStudiesWithLittleInThem) {
  if (!has_gnuplot()) GTEST_SKIP() << "no gnuplot";
  const std::vector<MadeOptions> little{{.n_conversations = 1, .n_seeds = 1},
                                        {.n_conversations = 4, .has_random = false},
                                        {.n_conversations = 4, .is_identical = true}};
  for (size_t i = 0; i < little.size(); ++i) {
    const fs::path folder = fresh_folder("little" + std::to_string(i));
    EXPECT_EQ(write_report(made_study(little[i]), folder, kQuick).figure_problem, "");
  }
  StudyData data = made_study();
  data.study.arms.resize(1);
  data.study.contrasts.clear();
  std::erase_if(data.units, [](const auto& unit) { return unit.arm != "baseline"; });
  std::erase_if(data.scores.units, [](const auto& score) { return score.arm != "baseline"; });
  std::erase_if(data.scores.items, [](const auto& score) { return score.arm != "baseline"; });
  const fs::path folder = fresh_folder("one arm");
  EXPECT_EQ(write_report(data, folder, kQuick).figure_problem, "");
  EXPECT_THAT(read(folder / "figure1.gp"), HasSubstr("no arm to compare"));
}

TEST(Report, LetsNoTextBecomeMarkup) {
  const StudyData data = made_study();
  const Analysis analysis = analyse(data, kQuick);
  const std::string page = report_html(data, analysis, {"", "no <gnuplot>"});
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<b>Really")));
  EXPECT_THAT(page, HasSubstr("no &lt;gnuplot&gt;"));
  size_t n_scripts = 0;
  for (size_t at = page.find("</script"); at != std::string::npos;
       at = page.find("</script", at + 1))
    ++n_scripts;
  EXPECT_EQ(n_scripts, 2U);
  EXPECT_THAT(page, Not(HasSubstr("src=\"http")));
}

// A byte-level model may write any bytes, and a length limit may cut inside a character.
TEST(Report, EveryFileIsReadableTextWhateverAModelWrote) {
  using std::string_literals::operator""s;
  const std::string bytes =
      "cut \xF0\x9F\x98, single \xFF\xC0\xAF, half \xED\xA0\x80, nothing \0."s;
  StudyData data = made_study();
  data.study.title += bytes;
  data.study.question = bytes;
  for (record::ArmInfo& arm : data.study.arms) arm.scope += bytes;
  data.conversations[0].turns[0].content = bytes;
  for (record::UnitRecord& unit : data.units) unit.turns.back().reply = bytes;
  for (record::ItemScore& item : data.scores.items) item.detail = bytes;
  const fs::path folder = fresh_folder("bytes");
  write_report(data, folder, kQuick);
  for (const char* name : {"report.html", "turns.csv", "items.csv", "table1.csv", "scores.csv"}) {
    const std::string text = read(folder / name);
    EXPECT_EQ(well_formed_bytes(text), text.size()) << name;
    EXPECT_EQ(text.find('\0'), std::string::npos) << name;
  }
  EXPECT_THAT(read(folder / "turns.csv"), HasSubstr("nothing \xEF\xBF\xBD."));
  EXPECT_THAT(html_text(bytes), HasSubstr("single \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD, half"));
}

TEST(Report, PageDataKeepsRepliesAsTheyWere) {
  const auto page = nlohmann::json::parse(page_data(made_study()));
  const std::string reply = page.at("units").at(0).at("turns").at(0).at("reply");
  EXPECT_THAT(reply, HasSubstr(kHostile));
  EXPECT_EQ(page.at("units").at(0).at("map").at("pairs"), 8);
}

TEST(Report, FigureScriptQuotesNames) {
  StudyData data = made_study();
  for (auto& arm : data.study.arms) {
    if (arm.name == "lazy_arm") arm.name = "it's `id` @a\n$b";
  }
  const auto rename = [](auto& rows) {
    for (auto& row : rows) {
      if (row.arm == "lazy_arm") row.arm = "it's `id` @a\n$b";
    }
  };
  rename(data.units);
  rename(data.scores.units);
  rename(data.scores.items);
  data.study.contrasts.resize(1);
  const std::string script = figure1_gp(analyse(data, kQuick));
  EXPECT_THAT(script, HasSubstr("'it''s `id` @a $b'"));
}

TEST(Report, WarnsOfAnArmThatNeverRemovedACell) {
  const StudyData data = made_study();
  const Analysis analysis = analyse(data, kQuick);
  EXPECT_THAT(analysis.warnings, testing::Contains(HasSubstr("'lazy_arm' never removed a cell")));
  EXPECT_THAT(report_html(data, analysis, {}), HasSubstr("never removed a cell"));
}

TEST(Report, LabelsQueryVisibleArmsEverywhere) {
  StudyData data = made_study();
  EXPECT_THAT(table1_md(analyse(data, kQuick)), Not(HasSubstr("query-visible")));
  for (record::ArmInfo& arm : data.study.arms) {
    if (arm.name == "streaming_64") arm.settings["trigger"] = "prompt_end,turn_end";
  }
  const Analysis analysis = analyse(data, kQuick);
  EXPECT_THAT(table1_csv(analysis), HasSubstr("\"all layers, query-visible\""));
  for (const std::string& text :
       {table1_md(analysis), table1_tex(analysis), table1_terminal(analysis, 80)}) {
    EXPECT_THAT(text, testing::ContainsRegex("streaming.{1,2}64 \\(query-visible\\)"));
    EXPECT_THAT(text, HasSubstr("query-visible: the arm's policy runs between a message"));
  }
  EXPECT_THAT(figure1_gp(analysis), HasSubstr("'streaming_64 (q)'"));
  const std::string page = report_html(data, analysis, {});
  EXPECT_THAT(page, HasSubstr("all layers, query-visible</td>"));
  EXPECT_THAT(page, HasSubstr("(q) marks a query-visible arm"));
  EXPECT_THAT(page, HasSubstr("query-visible: the arm&#39;s policy runs between a message"));
  EXPECT_THAT(analysis.warnings,
              testing::Contains("contrast 'explore': of its arms only 'streaming_64' is "
                                "query-visible"));
}

TEST(Report, SaysNothingAboutEvictionWhereAClassIsNotAssessable) {
  const StudyData data = made_study();
  const Analysis analysis = analyse(data, kQuick);
  ASSERT_EQ(analysis.classes.size(), 2U);
  EXPECT_EQ(analysis.classes[0].assessability.state, Assessability::State::kAssessable);
  EXPECT_EQ(analysis.classes[1].assessability.state, Assessability::State::kNotAssessable);
  const std::string page = report_html(data, analysis, {});
  EXPECT_THAT(page, HasSubstr("<caption>formal</caption>"));
  EXPECT_THAT(page, Not(HasSubstr("<caption>short_%_reply</caption>")));
}

}  // namespace
}  // namespace ebb::report
