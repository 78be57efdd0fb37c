// What the subcommands share: options about the model and how to compute, text input, exit codes.
// This folder is the only code that prints, reads the environment or exits.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "model/tokenizer.h"
#include "policy/treatment.h"
#include "record/store.h"

namespace ebb::app {

// --numerics, --kernels, --threads, --cells, --rows.
struct ComputeFlags {
  std::string numerics = "strict";
  std::string kernels = "own";
  std::string cells;
  int n_threads = 0;
  int n_rows_max = 512;

  void add_to(CLI::App& command);
  engine::EngineOptions options() const;
};

// A policy, how many cells it keeps, and any further setting.
struct TreatmentFlags {
  std::string policy;
  int64_t n_keep = -1;
  std::string positions = "original";
  std::vector<std::string> settings;  // key=value

  void add_to(CLI::App& command);
  policy::Treatment treatment() const;
};

// Token ids from --text FILE (tokenised as the model would) or --ids FILE (a JSON array).
struct TextFlags {
  std::string text_path;
  std::string ids_path;

  void add_to(CLI::App& command);
  std::vector<int32_t> ids(const model::Tokenizer& tokenizer) const;
};

// A model whose file was tried in a child process first, unless it was before.  Throws: kBadModel.
// Requires: no other threads.
std::shared_ptr<const model::Model> open_model(const std::filesystem::path& path);

// An engine. Whether it fits is checked before, by check_fits() of memory.h.
std::unique_ptr<engine::Engine> open_engine(std::shared_ptr<const model::Model> model,
                                            const ComputeFlags& flags);

// JSON for programs. A model's name and a model's words may be cut inside a character: such bytes
// become U+FFFD.
void print_json(const auto& json) {
  using Json = std::decay_t<decltype(json)>;
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string read_text(const std::filesystem::path& path);
PositionMode parse_positions(std::string_view name);
// "98.4 MB", "7.1 GB": decimal units.
std::string bytes_text(uint64_t n_bytes);

// --any-machine: units of several numerics fingerprints may be in one study.
void add_machines(CLI::App& command, record::Machines& machines);

// Tables, figure, page and exports of a stored study, and table 1 on the terminal.
void write_study_report(const std::filesystem::path& folder, const std::filesystem::path& out,
                        record::Machines machines);

// Each adds one subcommand; the callback runs it and returns through `exit_code`.
void add_validate(CLI::App& app);
void add_inspect(CLI::App& app);
void add_logits(CLI::App& app);
void add_cache(CLI::App& app);
void add_policies(CLI::App& app);
void add_pull(CLI::App& app);
void add_report(CLI::App& app);
void add_run(CLI::App& app);
void add_plan(CLI::App& app);
void add_merge(CLI::App& app);
void add_repro(CLI::App& app);
void add_generate(CLI::App& app);
void add_score(CLI::App& app);

}  // namespace ebb::app
