// ebb run and merge: studies from a file to stored units.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform.h"
#include "eval/scoring.h"
#include "experiment/unit_id.h"
#include "memory.h"
#include "record/npy.h"
#include "record/store.h"
#include "study_setup.h"

namespace ebb::app {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> stop_wanted{false};

// The first signal ends the run between two steps; a second one ends the process.
void on_signal(int signal) {
  stop_wanted.store(true);
  std::signal(signal, SIG_DFL);
}

struct RunFlags {
  StudyFlags study;
  std::string out;
  std::string shard;
  int n_lanes = 48;
  record::Machines machines = record::Machines::kOne;
};

void parse_shard(const std::string& text, experiment::RunOptions& options) {
  if (text.empty()) return;
  unsigned i = 0;
  unsigned n = 0;
  char rest = 0;
  const bool is_read = std::sscanf(text.c_str(), "%u/%u%c", &i, &n, &rest) == 2;
  if (!is_read || n == 0 || i < 1 || i > n) {
    throw Error::make(ErrorKind::kUsage, "--shard '{}': expected i/n with 1 <= i <= n", text);
  }
  options.shard = i - 1;
  options.n_shards = n;
}

// Mean of the primary endpoint so far, arm by arm: a glance, not a result. Where it needs a judge,
// who comes later, recall stands in.
class Glance {
 public:
  Glance(const record::StudyInfo& info, const std::vector<record::ConversationText>& texts)
      : info_(info), texts_(texts) {}

  void add(const std::vector<record::UnitRecord>& units) {
    for (const auto& one : eval::score_units(info_, texts_, units, nullptr).units) {
      auto& [sum, n] = sums_[one.endpoint][one.arm];
      sum += one.score;
      ++n;
    }
  }
  std::string text() const {
    for (const std::string& endpoint : {info_.primary_endpoint, std::string("recall")}) {
      const auto found = sums_.find(endpoint);
      if (found == sums_.end()) continue;
      std::string out;
      for (const record::ArmInfo& arm : info_.arms) {  // in the order of the study
        const auto mean = found->second.find(arm.name);
        if (mean == found->second.end()) continue;
        out += fmt::format("{}{} {:.2f}", out.empty() ? "" : ", ", arm.name,
                           mean->second.first / mean->second.second);
      }
      return fmt::format("\n    mean {} so far: {}", endpoint, out);
    }
    return "";
  }

 private:
  const record::StudyInfo& info_;
  const std::vector<record::ConversationText>& texts_;
  std::map<std::string, std::map<std::string, std::pair<double, int>>> sums_;  // endpoint, arm
};

std::string progress_text(const experiment::Progress& p) {
  const size_t n_now = p.n_families_done - p.n_families_before;
  std::string left;
  if (n_now > 0 && p.n_families > p.n_families_done) {
    const double each = p.seconds / static_cast<double>(n_now);
    left = fmt::format(", about {} left",
                       time_text(each * static_cast<double>(p.n_families - p.n_families_done)));
  }
  return fmt::format("{} of {} units, {:.0f} tokens/s{}", p.n_units_done, p.n_units,
                     static_cast<double>(p.n_tokens) / std::max(p.seconds, 1e-3), left);
}

experiment::RunListener make_listener(Glance& glance) {
  experiment::RunListener listener;
  const bool is_terminal = isatty(fileno(stderr)) != 0;
  if (is_terminal) {
    auto last = std::make_shared<double>(0);
    listener.on_step = [last](const experiment::Progress& p) {
      if (p.seconds - *last < 0.3) return;
      *last = p.seconds;
      fmt::print(stderr, "\r\033[K  {}", progress_text(p));
    };
  }
  listener.on_family = [&glance, is_terminal](const experiment::Progress& p,
                                              const std::vector<record::UnitRecord>& units) {
    glance.add(units);
    fmt::print(stderr, "{}  {}: {}{}\n", is_terminal ? "\r\033[K" : "", units.front().conversation,
               progress_text(p), glance.text());
  };
  listener.on_failure = [is_terminal](const experiment::RunFailure& failure) {
    fmt::print(stderr, "{}  {}: left out of every arm: {}\n", is_terminal ? "\r\033[K" : "",
               failure.conversation, failure.reason);
  };
  return listener;
}

void write_manifest(const fs::path& folder, const record::StudyInfo& info,
                    const std::string& format_sha256) {
  nlohmann::ordered_json manifest;
  manifest["ebb_version"] = EBB_VERSION;
  manifest["compiler"] = __VERSION__;
  manifest["study"] = info.name;
  manifest["model"] = info.model;
  manifest["model_sha256"] = info.model_sha256;
  manifest["data"] = info.data_name;
  manifest["data_version"] = info.data_version;
  manifest["data_sha256"] = info.data_sha256;
  manifest["chat_format_sha256"] = format_sha256;
  manifest["numerics"] = info.numerics;
  manifest["fingerprint"] = info.fingerprint;
  manifest["cpu"] = platform::cpu_info().brand;
  manifest["cpu_features"] = platform::cpu_info().features;
  record::write_file(folder / "manifest.json", manifest.dump(1) + "\n");
}

void run_into(record::StudyStore& store, const fs::path& folder, const OpenStudy& open,
              const experiment::RunOptions& options, record::Machines machines) {
  record::StudyInfo info =
      experiment::info_of(open.study, *open.engine, open.data, open.model_sha256);
  info.inputs = experiment::inputs_text(open.study, *open.engine, *open.format);
  std::vector<record::ConversationText> texts;
  for (const auto& c : open.data.conversations) texts.push_back(experiment::to_record(c));
  const std::string resolved = experiment::to_toml(open.study);
  store.begin(info, texts, resolved, machines);
  record::write_file(folder / "config.resolved.toml", resolved);
  write_manifest(folder, info, open.format->format_sha256());
  fmt::print("model: {}, numerics {}; results go to {}\n", info.model, info.numerics,
             folder.string());
  std::fflush(stdout);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  Glance glance(info, texts);
  const experiment::Progress done = experiment::run_study(open.context, open.data.conversations,
                                                          store, options, make_listener(glance));
  fmt::print("{} units in {}: {} tokens computed, {} taken over from another arm\n",
             done.n_units_now, time_text(done.seconds), done.n_tokens, done.n_tokens_shared);
  if (!done.failures.empty() && done.failures.size() == done.n_families) {
    throw Error::make(ErrorKind::kUsage, "no conversation could be run; the first, '{}': {}",
                      done.failures.front().conversation, done.failures.front().reason);
  }
  if (!done.failures.empty()) {
    fmt::print("{} of {} conversations could not be run and are left out of every arm\n",
               done.failures.size(), done.n_families);
  }
}

void run_study_command(const RunFlags& flags) {
  const fs::path folder = flags.out.empty() ? "runs/" + read_study(flags.study).name : flags.out;
  experiment::RunOptions options;
  parse_shard(flags.shard, options);  // before anything is opened
  auto open = open_study(flags.study);
  if (!open->format->notice().empty()) fmt::print("note: {}\n", open->format->notice());
  options.stop = &stop_wanted;
  set_limits(options, flags.n_lanes);
  const experiment::StudyPlan plan =
      experiment::plan_study(open->context, open->data.conversations);
  fmt::print("{}", plan_text(*open, plan, options));
  const uint64_t available = 2 * options.n_bytes_max;
  if (available > 0 && plan.n_bytes_family > available) {
    throw Error::make(ErrorKind::kOutOfMemory,
                      "one conversation with all its arms needs {}, but {} are available: give "
                      "fewer arms or seeds, or a lower --max-new",
                      bytes_text(plan.n_bytes_family), bytes_text(available));
  }
  {
    auto store = record::StudyStore::open_for_writing(folder);
    run_into(store, folder, *open, options, flags.machines);
  }
  // A shard alone is no study; its folders are merged and reported then.
  if (options.n_shards == 1) write_study_report(folder, folder / "report", flags.machines);
}

void merge_folders(const std::vector<std::string>& from, const std::string& to,
                   record::Machines machines) {
  auto store = record::StudyStore::open_for_writing(to);
  for (const std::string& folder : from) {
    store.merge(record::StudyStore::open_for_reading(folder), machines);
  }
  const size_t n_all = store.conversations().size();
  fmt::print("{}: {} units of {} of {} conversations\n", to, store.n_units(),
             store.finished_conversations().size(), n_all);
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command =
      app.add_subcommand("run", "Run a study; on the same --out again, go on where it stopped");
  flags->study.add_to(*command);
  command->add_option("--out", flags->out, "folder of the study (default runs/NAME)");
  command->add_option("--shard", flags->shard, "i/n: only every n-th conversation, from the i-th");
  add_lanes(*command, flags->n_lanes);
  add_machines(*command, flags->machines);
  command->callback([flags] { run_study_command(*flags); });
}

void add_merge(CLI::App& app) {
  auto from = std::make_shared<std::vector<std::string>>();
  auto to = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("merge", "Put shards of one study into one folder");
  command->add_option("from", *from, "folders of the shards")->required();
  command->add_option("--out", *to, "folder to write")->required();
  auto machines = std::make_shared<record::Machines>(record::Machines::kOne);
  add_machines(*command, *machines);
  command->callback([from, to, machines] { merge_folders(*from, *to, *machines); });
}

}  // namespace ebb::app
