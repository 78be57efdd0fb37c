// ebb score: scores of a finished study by rules and, where one is given, by a judge. Never runs
// the studied model.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "command.h"
#include "eval/judge_agreement.h"
#include "eval/judge_cache.h"
#include "eval/judge_pairwise.h"
#include "eval/judge_run.h"
#include "eval/scoring.h"
#include "judge_choice.h"
#include "record/npy.h"
#include "record/store.h"

namespace ebb::app {
namespace {

namespace fs = std::filesystem;

struct ScoreFlags {
  std::string folder;
  JudgeFlags judge;
  std::vector<std::string> pair;  // two arms
  bool offline = false;
  bool judges_all = false;
  bool judge_check = false;
  bool as_json = false;
  record::Machines machines = record::Machines::kOne;
};

struct Study {
  record::StudyInfo info;
  std::vector<record::ConversationText> conversations;
  std::vector<record::UnitRecord> units;
};

std::atomic<bool> g_interrupted{false};

bool is_interrupted() { return g_interrupted.load(); }

Study read_study(const fs::path& folder, record::Machines machines) {
  const record::StudyStore store = record::StudyStore::open_for_reading(folder);
  if (machines == record::Machines::kOne) store.check_one_machine();
  return {store.study(), store.conversations(), store.units()};
}

// The judge of this run, with its cache in front. An offline one answers from the cache alone.
struct ReadyJudge {
  std::unique_ptr<eval::JudgeCache> cache;
  ChosenJudge chosen;
  std::unique_ptr<eval::TextGenerator> judge;
};

// Which judge's answers to replay: the file may hold those of several.
std::string offline_name(const eval::JudgeCache& cache, const JudgeFlags& flags) {
  std::vector<std::string> names = cache.judge_names();
  if (!flags.judge.empty()) {
    // A local file goes by its name there, wherever it lies.
    std::string wanted = flags.judge;
    if (wanted.starts_with("gguf:")) {
      wanted = "gguf:" + std::filesystem::path(wanted.substr(5)).filename().string();
    }
    std::erase_if(names, [&](const std::string& name) {
      return name != wanted && name.rfind(wanted + ",", 0) != 0;
    });
  }
  if (names.size() == 1) return names.front();
  throw Error::make(ErrorKind::kUsage,
                    "--offline: found {} judges in judge.jsonl that fit, expected one: name it "
                    "with --judge as it stands there",
                    names.size());
}

ReadyJudge make_judge(const ScoreFlags& flags, const std::optional<Study>& study) {
  ReadyJudge ready;
  if (!flags.folder.empty()) {
    ready.cache = std::make_unique<eval::JudgeCache>(
        fs::path(flags.folder) / "judge.jsonl",
        flags.offline ? eval::CacheUse::kReplay : eval::CacheUse::kAppend);
  }
  if (flags.offline) {
    ready.judge =
        std::make_unique<eval::CachedJudge>(*ready.cache, offline_name(*ready.cache, flags.judge));
    return ready;
  }
  ready.chosen = choose_judge(flags.judge, is_interrupted);
  if (study) {
    const eval::JudgeFitness fitness = eval::judge_conflict(study->info, ready.chosen.identity);
    if (fitness.use == eval::JudgeUse::kRefused) throw Error(ErrorKind::kUsage, fitness.reason);
    if (fitness.use == eval::JudgeUse::kFlagged) {
      fmt::print(stderr, "note: {}\n", fitness.reason);
    }
  }
  if (ready.cache) {
    ready.judge = std::make_unique<eval::CachedJudge>(*ready.cache, *ready.chosen.generator);
  } else {
    ready.judge = std::move(ready.chosen.generator);
  }
  return ready;
}

using Json = nlohmann::ordered_json;

Json kappa_json(const std::optional<stats::Kappa>& kappa) {
  if (!kappa) return nullptr;
  Json out{{"items", kappa->n}, {"agreement", kappa->agreement}, {"kappa", nullptr}};
  if (kappa->kappa) out["kappa"] = *kappa->kappa;
  out["interval"] = nullptr;
  if (kappa->interval) out["interval"] = {kappa->interval->low, kappa->interval->high};
  return out;
}

void print_kappa(const char* of, const stats::Kappa& kappa) {
  fmt::print("{}: {} items, {:.1f} % agree", of, kappa.n, 100 * kappa.agreement);
  if (kappa.kappa) fmt::print(", Cohen's kappa {:.3f}", *kappa.kappa);
  if (kappa.interval) fmt::print(" [{:.3f}, {:.3f}]", kappa.interval->low, kappa.interval->high);
  fmt::print("\n");
}

void run_judge_check(const ScoreFlags& flags, eval::TextGenerator& judge) {
  const eval::GoldenCheck check =
      eval::check_judge_on_golden(eval::golden_items(), judge, flags.judge.parsed_scale());
  if (flags.as_json) {
    return print_json(Json{{"judge", judge.name()},
                           {"people_and_judge", kappa_json(check.kappa)},
                           {"differs", check.disagreements},
                           {"pending", check.pending}});
  }
  fmt::print("judge {} on the golden set\n", judge.name());
  if (check.kappa) print_kappa("people and judge", *check.kappa);
  for (const std::string& line : check.disagreements) fmt::print("  differs  {}\n", line);
  for (const std::string& line : check.pending) fmt::print("  pending  {}\n", line);
}

void show_progress(size_t n_done, size_t n_total, size_t n_pending) {
  const bool is_terminal = isatty(fileno(stderr)) != 0;
  if (!is_terminal && n_done % 100 != 0 && n_done != n_total) return;
  fmt::print(stderr, "{}judged {} of {}, {} pending{}", is_terminal ? "\r" : "", n_done, n_total,
             n_pending, is_terminal && n_done < n_total ? "" : "\n");
}

eval::JudgeAnswers ask(const ScoreFlags& flags, const Study& study, eval::TextGenerator& judge) {
  eval::JudgeRunOptions options;
  options.scale = flags.judge.parsed_scale();
  options.scope = flags.judges_all ? eval::JudgeScope::kAll : eval::JudgeScope::kNeeded;
  if (flags.offline) options.n_failures_in_row_max = 0;  // a gap in the cache costs no time
  options.on_progress = [](const eval::JudgeProgress& progress) {
    show_progress(progress.n_done, progress.n_total, progress.n_pending);
  };
  return eval::run_judge(study.info, study.conversations, study.units, judge, options);
}

void run_pairwise(const ScoreFlags& flags, const Study& study, eval::TextGenerator& judge) {
  eval::PairwiseOptions options;
  options.first = flags.pair[0];
  options.second = flags.pair[1];
  options.on_progress = [](size_t n_done, size_t n_total) { show_progress(n_done, n_total, 0); };
  const eval::PairwiseResult result =
      eval::judge_pairwise(study.info, study.conversations, study.units, judge, options);
  const auto n_contradicting = std::count_if(
      result.verdicts.begin(), result.verdicts.end(), [](const eval::PairVerdict& verdict) {
        return verdict.outcome == eval::PairOutcome::kTie && !verdict.is_consistent;
      });
  if (flags.as_json) {
    return print_json(Json{{"judge", judge.name()},
                           {"first", result.first},
                           {"second", result.second},
                           {"pairs", result.verdicts.size()},
                           {"first_better", result.count(eval::PairOutcome::kFirst)},
                           {"second_better", result.count(eval::PairOutcome::kSecond)},
                           {"ties", result.count(eval::PairOutcome::kTie)},
                           {"ties_by_contradiction", n_contradicting},
                           {"pending", result.count(eval::PairOutcome::kPending)}});
  }
  fmt::print(
      "{} against {}, {} pairs, each in both orders: {} better, {} worse, {} ties ({} where "
      "the orders contradict), {} pending\n",
      result.first, result.second, result.verdicts.size(), result.count(eval::PairOutcome::kFirst),
      result.count(eval::PairOutcome::kSecond), result.count(eval::PairOutcome::kTie),
      n_contradicting, result.count(eval::PairOutcome::kPending));
}

constexpr const char* kColumns[] = {"rules",         "rules_loose", "judge",     "combined",
                                    "perseveration", "recall",      "retention", "kl",
                                    "delta_loglik"};

struct Mean {
  double sum = 0;
  size_t n = 0;
  double value() const { return sum / static_cast<double>(n); }
};

Mean mean_of(const record::StudyScores& scores, const std::string& arm,
             const std::string& endpoint) {
  Mean out;
  for (const record::UnitScore& unit : scores.units) {
    if (unit.arm != arm || unit.endpoint != endpoint) continue;
    out.sum += unit.score;
    ++out.n;
  }
  return out;
}

// A cell of the table: the mean, or why there is none.
std::string cell(const record::StudyScores& scores, const std::string& arm,
                 const std::string& endpoint) {
  const Mean mean = mean_of(scores, arm, endpoint);
  if (mean.n > 0) return fmt::format("{:.3f} ({})", mean.value(), mean.n);
  const bool asks_judge = endpoint == "judge" || endpoint == "combined";
  if (asks_judge && scores.judge_name.empty()) return "not run";
  return asks_judge && scores.n_pending > 0 ? "pending" : "-";
}

// An endpoint without a value in an arm is not among that arm's.
Json scores_json(const Study& study, const record::StudyScores& scores) {
  Json arms = Json::array();
  for (const record::ArmInfo& arm : study.info.arms) {
    Json endpoints = Json::object();
    for (const char* endpoint : kColumns) {
      const Mean mean = mean_of(scores, arm.name, endpoint);
      if (mean.n > 0) endpoints[endpoint] = {{"mean", mean.value()}, {"units", mean.n}};
    }
    arms.push_back({{"arm", arm.name}, {"endpoints", std::move(endpoints)}});
  }
  Json out{{"study", study.info.name}, {"judge", nullptr}, {"pending", scores.n_pending}};
  if (!scores.judge_name.empty()) out["judge"] = scores.judge_name;
  out["arms"] = std::move(arms);
  out["rules_and_judge"] = kappa_json(eval::rules_judge_agreement(scores));
  return out;
}

void print_table(const Study& study, const record::StudyScores& scores) {
  size_t width = 3;
  for (const record::ArmInfo& arm : study.info.arms) width = std::max(width, arm.name.size());
  fmt::print("{:<{}}", "arm", width);
  for (const char* column : kColumns) fmt::print("  {:>13}", column);
  fmt::print("\n");
  for (const record::ArmInfo& arm : study.info.arms) {
    fmt::print("{:<{}}", arm.name, width);
    for (const char* column : kColumns) fmt::print("  {:>13}", cell(scores, arm.name, column));
    fmt::print("\n");
  }
  fmt::print("means over units (number of units); judge: {}\n",
             scores.judge_name.empty() ? "not run" : scores.judge_name);
  if (scores.n_pending > 0) {
    fmt::print("{} verdicts are pending; the same command asks again where no answer came\n",
               scores.n_pending);
  }
}

void check_flags(const ScoreFlags& flags) {
  const bool has_judge = !flags.judge.judge.empty() || flags.offline;
  if (!has_judge && (flags.judge_check || !flags.pair.empty() || flags.judges_all)) {
    throw Error(
        ErrorKind::kUsage,
        "--judge-check, --judge-all and --pairwise need a judge: give --judge or --offline");
  }
  if (flags.folder.empty() && (!flags.judge_check || flags.offline)) {
    throw Error(ErrorKind::kUsage, "found no RUN, expected the folder of a study");
  }
  (void)flags.judge.parsed_scale();
}

void run_score(const ScoreFlags& flags) {
  check_flags(flags);
  std::signal(SIGINT, [](int) { g_interrupted = true; });
  std::optional<Study> study;
  if (!flags.folder.empty()) study = read_study(flags.folder, flags.machines);
  const bool has_judge = !flags.judge.judge.empty() || flags.offline;
  ReadyJudge ready;
  if (has_judge) ready = make_judge(flags, study);
  if (flags.judge_check) return run_judge_check(flags, *ready.judge);
  if (!flags.pair.empty()) return run_pairwise(flags, *study, *ready.judge);
  std::optional<eval::JudgeAnswers> answers;
  if (has_judge) {
    answers = ask(flags, *study, *ready.judge);
    record::write_file(fs::path(flags.folder) / "judge_scores.jsonl",
                       eval::to_json_lines(*answers));
  }
  const record::StudyScores scores = eval::score_units(study->info, study->conversations,
                                                       study->units, answers ? &*answers : nullptr);
  if (flags.as_json) return print_json(scores_json(*study, scores));
  print_table(*study, scores);
  if (const auto kappa = eval::rules_judge_agreement(scores))
    print_kappa("rules and judge", *kappa);
}

}  // namespace

void add_score(CLI::App& app) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command =
      app.add_subcommand("score", "Score a finished study by rules and, if wanted, by a judge");
  command->add_option("RUN", flags->folder, "folder of the study");
  flags->judge.add_to(*command);
  command->add_flag("--judge-all", flags->judges_all,
                    "also judge what rules decide, to compare the two");
  command->add_option("--pairwise", flags->pair, "two arms, A,B: which one obeys better")
      ->delimiter(',')
      ->expected(2);
  command->add_flag("--offline", flags->offline, "only answers that judge.jsonl holds");
  command->add_flag("--judge-check", flags->judge_check,
                    "measure the judge against people on the built-in golden set");
  command->add_flag("--json", flags->as_json, "as JSON (docs/file-formats.md)");
  add_machines(*command, flags->machines);
  command->footer(
      "A server gets instructions, requests and replies; never names of arms. See docs/judge.md.");
  command->callback([flags] { run_score(*flags); });
}

}  // namespace ebb::app
