// ebb report: tables, figures and the page of a stored study. Runs no model and asks no judge: the
// verdicts that ebb score left in the folder are used where there are any.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "command.h"
#include "eval/judge_answers.h"
#include "eval/scoring.h"
#include "record/store.h"
#include "report/table1.h"
#include "report/write_report.h"

namespace ebb::app {
namespace {

namespace fs = std::filesystem;
constexpr size_t kTableWidth = 110;

struct ReportFlags {
  std::string folder;
  std::string out;
  record::Machines machines = record::Machines::kOne;
};

// Every eviction event, a line each; streamed, as there can be many.
void write_events(const record::StudyStore& store, const fs::path& path) {
  const fs::path part = path.string() + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  store.for_each_event([&](std::string_view line) { file << line << '\n'; });
  file.close();
  std::error_code problem;
  if (file) fs::rename(part, path, problem);
  if (!file || problem) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be written", path.string());
  }
}

}  // namespace

void write_study_report(const fs::path& folder, const fs::path& out, record::Machines machines) {
  const record::StudyStore store = record::StudyStore::open_for_reading(folder);
  if (machines == record::Machines::kOne) store.check_one_machine();
  report::StudyData data{store.study(), store.conversations(), store.units(), {}};
  if (const auto all = store.fingerprints(); !all.empty()) {
    data.study.fingerprint = fmt::format("{}", fmt::join(all, " and "));
  }
  if (data.units.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: no unit is finished yet: nothing to report",
                      folder.string());
  }
  std::optional<eval::JudgeAnswers> answers;
  if (const fs::path path = folder / "judge_scores.jsonl"; fs::exists(path)) {
    answers = eval::judge_answers_from_json_lines(read_text(path));
  }
  data.scores =
      eval::score_units(data.study, data.conversations, data.units, answers ? &*answers : nullptr);
  const report::WrittenReport written = report::write_report(data, out);
  write_events(store, out / "evictions.jsonl");
  fmt::print("{}", report::table1_terminal(written.analysis, kTableWidth));
  if (!written.figure_problem.empty()) fmt::print(stderr, "note: {}\n", written.figure_problem);
  fmt::print("written: {}\n", (out / "report.html").string());
}

void add_report(CLI::App& app) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command =
      app.add_subcommand("report", "Write tables, figure and page of a stored study");
  command->add_option("run", flags->folder, "folder of the study")->required();
  command->add_option("--out", flags->out, "folder to write to (default: report/ in the study's)");
  add_machines(*command, flags->machines);
  command->callback([flags] {
    const fs::path folder = flags->folder;
    write_study_report(folder, flags->out.empty() ? folder / "report" : fs::path(flags->out),
                       flags->machines);
  });
}

}  // namespace ebb::app
