// Studies by the program: what a wrong input, a signal or a full disk does, and that going on
// afterwards gives the same files; what plan and score say as JSON.
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "apps/study_process.h"

namespace ebb::app {
namespace {

using ::testing::AllOf;
using testing::EbbEnd;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StudyProcess;

// Waits until the program has said something; false where it ended or took too long.
bool has_said(const std::string& log, const std::string& text) {
  for (int i = 0; i < 20000; ++i) {
    if (testing::text_of(log).find(text) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_F(StudyProcess, ATerminatedRunEndsWith75AndGoesOnToTheSameFiles) {
  write("data.json", testing::conversations_text(40));
  ASSERT_EQ(ebb(run_arguments("whole")).exit_code, 0);
  const pid_t child = start(run_arguments("parts"));
  ASSERT_TRUE(has_said(in_folder("log.txt"), "c1: "));
  ::kill(child, SIGTERM);
  const EbbEnd end = testing::wait_for_ebb(child, in_folder("log.txt"));
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.exit_code, 75) << end.said;
  EXPECT_THAT(end.said, HasSubstr("the same command goes on"));
  const EbbEnd rest = ebb(run_arguments("parts"));
  EXPECT_EQ(rest.exit_code, 0) << rest.said;
  EXPECT_THAT(differences(exports_of("parts"), exports_of("whole")), IsEmpty());
}

TEST_F(StudyProcess, AKilledRunGoesOnToTheSameFiles) {
  write("data.json", testing::conversations_text(40));
  ASSERT_EQ(ebb(run_arguments("whole")).exit_code, 0);
  for (const char* until : {"c0: ", "c9: ", "c20: "}) {
    const pid_t child = start(run_arguments("parts"));
    ASSERT_TRUE(has_said(in_folder("log.txt"), until));
    ::kill(child, SIGKILL);
    EXPECT_EQ(testing::wait_for_ebb(child, in_folder("log.txt")).signal, SIGKILL);
  }
  ASSERT_EQ(ebb(run_arguments("parts")).exit_code, 0);
  EXPECT_THAT(differences(exports_of("parts"), exports_of("whole")), IsEmpty());
}

// The same study at another time, in other batches, in shards: the same files, the figure's too.
TEST_F(StudyProcess, BatchesAndShardsDoNotShowInAnyFile) {
  ASSERT_EQ(ebb(run_arguments("whole")).exit_code, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // files hold whole seconds
  const auto whole = exports_of("whole");
  ASSERT_EQ(ebb(run_arguments("other", {{"--lanes", "48"}, {"--threads", "2"}})).exit_code, 0);
  EXPECT_THAT(differences(exports_of("other"), whole), IsEmpty());
  std::vector<std::string> merge{"merge", "--out", in_folder("merged")};
  for (const char* shard : {"2/2", "1/2"}) {
    const std::string out = std::string("shard") + shard[0];
    ASSERT_EQ(ebb(run_arguments(out, {{"--shard", shard}})).exit_code, 0);
    merge.push_back(in_folder(out));
  }
  ASSERT_EQ(ebb(merge).exit_code, 0);
  ASSERT_EQ(ebb({"report", in_folder("merged")}).exit_code, 0);
  auto merged = exports_of("merged");
  for (const auto& [name, text] : whole) {
    if (name.rfind("report/", 0) == 0) {
      EXPECT_TRUE(merged[name] == text) << name;
    }
  }
}

TEST_F(StudyProcess, APlanSaysAsJsonWhatARunThenDoes) {
  std::vector<std::string> arguments = run_arguments("out", {}, {"--json"});
  arguments[0] = "plan";
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--out") + 1);
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--out"));
  const EbbEnd end = ebb(arguments);
  ASSERT_EQ(end.exit_code, 0) << end.said;
  const auto plan = nlohmann::json::parse(end.said);  // nothing else is printed
  EXPECT_FALSE(testing::fs::exists(in_folder("out")));
  EXPECT_EQ(plan.at("conversations"), 4);
  EXPECT_EQ(plan.at("units"), 4 * 6);
  EXPECT_EQ(plan.at("arms").at(2).at("seeds"), 2);
  const auto& memory = plan.at("memory");
  uint64_t sum = 0;
  for (const auto& part : memory.at("parts")) sum += part.at("bytes").get<uint64_t>();
  EXPECT_EQ(memory.at("needed_bytes"), sum);
  EXPECT_GT(memory.at("available_bytes"), 0);
  EXPECT_EQ(memory.at("conversations_at_once"), 1);  // four lanes are less than one conversation's
  EXPECT_GT(plan.at("time").at("seconds"), 0.0);
  EXPECT_EQ(plan.at("can_detect").at("confirmatory_contrasts"), 1);
  EXPECT_TRUE(plan.at("can_detect").at("pass_or_fail").at(0).at("difference_exact").is_null());
  arguments.pop_back();
  const std::string lines = ebb(arguments).said;
  EXPECT_THAT(lines, HasSubstr("= 24 units"));
  EXPECT_THAT(lines, HasSubstr("\n  needed "));
  EXPECT_THAT(lines, HasSubstr("\n  available "));
}

struct BadInput {
  const char* name;
  int exit_code;
  const char* message;
  std::map<std::string, std::string> instead;  // "@" stands for the test's folder
};

TEST_F(StudyProcess, AWrongInputIsNamedAndNothingIsStored) {
  const std::string data = testing::conversations_text(2);
  write("cut.json", data.substr(0, 200));
  write("rule.json", std::string(data).replace(data.find("no_digits"), 9, "no_digitz"));
  write("no_turns.json", R"([{"id": "c0", "turns": []}])");
  write("file", "");
  write("cut.gguf", testing::text_of(in_folder("model.gguf")).substr(0, 4000));
  const std::string study = testing::kStudyText;
  const auto with = [&](const std::string& arm) {
    return study + "[[arms]]\nname = \"wrong\"\n" + arm + "\n";
  };
  write("budget.toml", with("treatment = \"h2o\"\nbudget = 0"));
  write("policy.toml", with("treatment = \"snapvk\"\nbudget = 9"));
  write("key.toml", with("treatment = \"snapkv\"\nbudgett = 9"));
  write("not.toml", "{\"name\": 1}");
  const BadInput inputs[] = {
      {"no model", 3, "no such file (did you mean 'model.gguf'?)", {{"--model", "@/modell.gguf"}}},
      {"a cut model", 3, "found the end of the file", {{"--model", "@/cut.gguf"}}},
      {"no data", 3, "no.json", {{"--data", "@/no.json"}}},
      {"cut data", 3, "cut.json:", {{"--data", "@/cut.json"}}},
      {"an unknown rule", 3, "'ebb:no_digitz'", {{"--data", "@/rule.json"}}},
      {"no turns", 3, "no_turns.json:1", {{"--data", "@/no_turns.json"}}},
      {"an impossible budget", 2, "budget 0: expected at least 1", {{"study", "@/budget.toml"}}},
      {"an unknown policy", 2, "did you mean 'snapkv'?", {{"study", "@/policy.toml"}}},
      {"an unknown setting", 2, "did you mean 'budget'?", {{"study", "@/key.toml"}}},
      {"no TOML", 2, "not.toml:1", {{"study", "@/not.toml"}}},
      {"no study", 2, "neither a file nor a preset", {{"study", "@/nothing.toml"}}},
      {"more tokens than trained for",
       2,
       "the model was trained for 8192",
       {{"--max-new", "9000"}}},
      {"a file in place of the folder", 5, "@/file/out", {{"--out", "@/file/out"}}},
      {"a shard that is none", 2, "expected i/n", {{"--shard", "3/2"}}},
  };
  for (const BadInput& input : inputs) {
    SCOPED_TRACE(input.name);
    const auto placed = [&](std::string text) {
      const size_t at = text.find('@');
      return at == std::string::npos ? text : text.replace(at, 1, folder_.path().string());
    };
    std::map<std::string, std::string> instead;
    for (const auto& [flag, value] : input.instead) instead[flag] = placed(value);
    const EbbEnd end = ebb(run_arguments("out", instead));
    EXPECT_EQ(end.signal, 0);
    EXPECT_EQ(end.exit_code, input.exit_code) << end.said;
    EXPECT_THAT(end.said, HasSubstr(placed(input.message)));
    EXPECT_FALSE(testing::fs::exists(in_folder("out/study.db")));
  }
}

TEST_F(StudyProcess, AnotherStudyInTheSameFolderIsRefusedAndTheFirstStays) {
  ASSERT_EQ(ebb(run_arguments("out")).exit_code, 0);
  const auto before = exports_of("out");
  const EbbEnd end = ebb(run_arguments("out", {{"--max-new", "7"}}));
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.said, HasSubstr("it was begun with 'max_new = 6', now it is 'max_new = 7'"));
  // What neither the study's file nor the model's says.
  for (const auto& [flag, value] : {std::pair("--cells", "f32"), {"--chat-template", "plain"}}) {
    const EbbEnd other = ebb(run_arguments("out", {{flag, value}}));
    EXPECT_EQ(other.exit_code, 2) << flag;
    EXPECT_THAT(other.said, HasSubstr("it was begun with inputs ="));
  }
  ASSERT_EQ(ebb({"report", in_folder("out")}).exit_code, 0);
  EXPECT_THAT(differences(exports_of("out"), before), IsEmpty());
}

// Files may not grow beyond a limit: what a full disk does, without the rights to make one.
TEST_F(StudyProcess, AFullDiskIsExitCode5AndTheStudyIsFinishedLater) {
  ASSERT_EQ(ebb(run_arguments("whole")).exit_code, 0);
  const auto whole = exports_of("whole");
  int n_refused = 0;
  for (const uint64_t kib : {1, 16, 32, 48, 64, 128}) {
    SCOPED_TRACE(kib);
    testing::EbbLimits limits = environment();
    limits.resource = RLIMIT_FSIZE;
    limits.n_bytes = kib << 10;
    const EbbEnd end = testing::run_ebb(run_arguments("out"), in_folder("log.txt"), limits);
    EXPECT_EQ(end.signal, 0);
    EXPECT_TRUE(end.exit_code == 5 || end.exit_code == 0) << end.exit_code << end.said;
    n_refused += end.exit_code == 5 ? 1 : 0;
    ASSERT_EQ(ebb(run_arguments("out")).exit_code, 0);
    EXPECT_THAT(differences(exports_of("out"), whole), IsEmpty());
    testing::fs::remove_all(in_folder("out"));
  }
  EXPECT_GE(n_refused, 3);
}

TEST_F(StudyProcess, ScoresAsJsonAreMeansOverScoresCsv) {
  ASSERT_EQ(ebb(run_arguments("out")).exit_code, 0);
  const EbbEnd end = ebb({"score", in_folder("out"), "--json"});
  ASSERT_EQ(end.exit_code, 0) << end.said;
  const auto scores = nlohmann::json::parse(end.said);
  std::map<std::string, std::pair<double, size_t>> sums;  // of recall, by arm
  std::istringstream rows(exports_of("out").at("report/scores.csv"));
  for (std::string row; std::getline(rows, row);) {
    std::vector<std::string> fields;
    std::istringstream in(row);
    for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
    if (fields.at(4) != "recall") continue;
    sums[fields.at(2)].first += std::stod(fields.at(5));
    ++sums[fields.at(2)].second;
  }
  ASSERT_EQ(scores.at("arms").size(), 5U);
  for (const auto& arm : scores.at("arms")) {
    const auto& [sum, n] = sums.at(arm.at("arm"));
    const auto& recall = arm.at("endpoints").at("recall");
    EXPECT_EQ(recall.at("units"), n);
    EXPECT_NEAR(recall.at("mean").get<double>(), sum / static_cast<double>(n), 1e-9);
    EXPECT_FALSE(arm.at("endpoints").contains("judge"));  // none was asked
  }
  EXPECT_TRUE(scores.at("judge").is_null());
  EXPECT_TRUE(scores.at("rules_and_judge").is_null());
}

TEST_F(StudyProcess, AJudgeThatIsNotThereLeavesVerdictsPendingAndTheStudyWhole) {
  write("data.json", testing::conversations_text(1));
  write("study.toml",
        "name = \"one\"\nmax_new = 4\n[[arms]]\nname = \"baseline\"\n"
        "kind = \"baseline\"\n");
  ASSERT_EQ(ebb(run_arguments("out")).exit_code, 0);
  const auto begin = std::chrono::steady_clock::now();
  const EbbEnd end = ebb({"score", in_folder("out"), "--judge-all", "--judge",
                          "openai:http://127.0.0.1:9/v1,model=m"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_EQ(end.exit_code, 0) << end.said;
  EXPECT_THAT(end.said, AllOf(HasSubstr("1 verdicts are pending"), HasSubstr("pending")));
  EXPECT_EQ(ebb({"report", in_folder("out")}).exit_code, 0);
}

}  // namespace
}  // namespace ebb::app
