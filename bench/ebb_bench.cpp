// ebb-bench: the whole process beside libllama on the same files with the same threads, in turns,
// and what policies, forks and caps cost. Kernels alone are timed by ebb-kernel-bench.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/platform.h"
#include "bench/alone.h"
#include "bench/cost.h"
#include "bench/distance.h"
#include "bench/goals.h"
#include "bench/growth.h"
#include "bench/machine.h"
#include "bench/report.h"
#include "bench/shape.h"
#include "bench/speed.h"
#include "bench/study.h"

namespace ebb::bench {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::vector<std::string> models;
  std::string json_path;
  std::string document_path;
  std::string shape_path;
  std::string task;
  std::string program;
  int n_threads = 0;
  int n_rounds = 0;
  bool is_quick = false;
  bool wants_markdown = false;
  std::vector<std::string> parts;

  bool wants(const std::string& part) const {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  }
};

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("--model", flags.models, "GGUF file, may be given again (default: see --help)");
  app.add_option("--threads", flags.n_threads, "for ebb and libllama alike; 0 = all usable cores")
      ->check(CLI::Range(0, 1024));
  app.add_option("--repeat", flags.n_rounds, "rounds; medians are taken over them")
      ->check(CLI::Range(1, 1000));
  app.add_option("--parts", flags.parts,
                 "only these, with commas between: speed, study, distance, costs, growth")
      ->delimiter(',')
      ->check(CLI::IsMember({"speed", "study", "distance", "costs", "growth"}));
  app.add_option("--shape", flags.shape_path,
                 "a file of ebb-make-gemma12b: its rows in place of the default models'");
  app.add_option("--alone", flags.task)->group("");  // how this program starts itself
  app.add_flag("--quick", flags.is_quick, "one model and less of everything: about a minute");
  app.add_option("--json", flags.json_path, "also write the results to this file");
  app.add_flag("--markdown", flags.wants_markdown, "print markdown instead of tables");
  app.add_option("--update", flags.document_path,
                 "also put the markdown between the bench lines of this document");
  app.footer(
      "Without --model: SmolLM2-135M-Instruct.Q4_1.gguf and gemma-3-270m-q4_k_m.gguf from the"
      "\nfolder EBB_MODELS or ~/.cache/ebb/models; --quick takes the first of them.");
}

std::vector<fs::path> default_models() {
  std::vector<fs::path> folders;
  if (const char* given = std::getenv("EBB_MODELS")) folders.emplace_back(given);
  if (const char* home = std::getenv("HOME"))
    folders.push_back(fs::path(home) / ".cache/ebb/models");
  std::vector<fs::path> found;
  for (const char* file : {"SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"}) {
    for (const fs::path& folder : folders) {
      if (!fs::exists(folder / file)) continue;
      found.push_back(folder / file);
      break;
    }
  }
  if (found.empty()) {
    throw Error(ErrorKind::kUsage,
                "found no model in EBB_MODELS or ~/.cache/ebb/models; give one with --model");
  }
  return found;
}

Settings settings_of(const Flags& flags) {
  Settings settings;
  settings.program = flags.program;
  settings.is_quick = flags.is_quick;
  settings.n_threads = flags.n_threads > 0 ? flags.n_threads : platform::cpu_info().n_usable_cores;
  settings.n_rounds = flags.n_rounds > 0 ? flags.n_rounds : (flags.is_quick ? 3 : 5);
  settings.on_progress = [](const std::string& what) { fmt::print(stderr, "  {}\n", what); };
  return settings;
}

Report run(const Flags& flags) {
  std::vector<fs::path> models(flags.models.begin(), flags.models.end());
  if (models.empty() && flags.shape_path.empty()) {
    models = default_models();
    if (flags.is_quick) models.resize(1);
  }
  Settings settings = settings_of(flags);
  Report report{describe_machine(settings.n_threads), settings.n_rounds, settings.is_quick, {}};
  settings.read_bytes_per_second = report.machine.read_bytes_per_second;
  settings.products_per_second = report.machine.products.per_second;
  const MachineClass machine = class_of(report.machine);
  const auto add = [&](Section section) {
    add_goals(section, machine);
    if (!flags.wants_markdown) fmt::print("{}", section_text(section));
    std::fflush(stdout);
    report.sections.push_back(std::move(section));
  };
  const auto add_all = [&](std::vector<Section> sections) {
    for (Section& section : sections) add(std::move(section));
  };
  if (!flags.wants_markdown) fmt::print("{}\n", report.machine.text());
  if (!flags.shape_path.empty()) add_all(measure_shape(flags.shape_path, settings));
  for (const fs::path& model : models) {
    fmt::print(stderr, "{}\n", model.filename().string());
    if (flags.wants("speed")) add(measure_speed(model, settings));
    if (flags.wants("study")) add(measure_study(model, settings));
    if (flags.wants("distance")) {
      if (auto section = measure_distance(model, settings)) add(std::move(*section));
    }
    if (flags.wants("costs")) add_all(measure_costs(model, settings));
    if (flags.wants("growth")) add_all(measure_growth(model, settings));
  }
  return report;
}

void write_results(const Flags& flags, const Report& report) {
  const std::string markdown = report_markdown(report);
  if (flags.wants_markdown) fmt::print("{}", markdown);
  if (!flags.document_path.empty()) update_document(flags.document_path, markdown);
  if (flags.json_path.empty()) return;
  std::ofstream out(flags.json_path, std::ios::trunc);
  out << report_json(report);
  out.close();
  if (!out) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be written", flags.json_path);
  }
}

int run_all(int argc, char** argv) {
  Flags flags;
  CLI::App app{"ebb-bench: ebb beside libllama, on the same files, in the same run"};
  add_flags(app, flags);
  try {
    app.parse(argc, argv);
    flags.program = argv[0];
    if (!flags.task.empty()) {
      if (flags.models.empty()) flags.models.push_back(default_models().front());
      const fs::path model = flags.models.front();
      fmt::print("{}\n", run_task(flags.task, model, settings_of(flags)).dump());
      return 0;
    }
    if (!flags.document_path.empty()) check_document(flags.document_path);
    write_results(flags, run(flags));
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const Error& error) {
    fmt::print(stderr, "ebb-bench: {}\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    fmt::print(stderr, "ebb-bench: {}\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace ebb::bench

int main(int argc, char** argv) { return ebb::bench::run_all(argc, argv); }
