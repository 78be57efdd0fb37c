#include "command.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_checks.h"
#include "base/platform.h"
#include "base/text.h"
#include "bus_error.h"
#include "memory.h"
#include "model/first_touch.h"
#include "policy/treatment_text.h"

namespace ebb::app {

void ComputeFlags::add_to(CLI::App& command) {
  command.add_option("--numerics", numerics, "reference, strict or fast")->capture_default_str();
  command.add_option("--kernels", kernels, "own or ggml (ggml: with --numerics fast)")
      ->capture_default_str();
  command.add_option("--cells", cells,
                     "number type of cells: f32, f16 or bf16 (default by numerics)");
  command.add_option("--threads", n_threads, "0 = all usable cores")->capture_default_str();
  command.add_option("--rows", n_rows_max, "tokens computed together at most")
      ->capture_default_str();
}

engine::EngineOptions ComputeFlags::options() const {
  engine::EngineOptions out;
  out.numerics = engine::parse_numerics(numerics);
  out.kernels = engine::parse_kernels(kernels);
  out.n_threads = n_threads;
  out.n_rows_max = n_rows_max;
  if (cells == "f32") {
    out.cell_type = CellType::kF32;
  } else if (cells == "f16") {
    out.cell_type = CellType::kF16;
  } else if (cells == "bf16") {
    out.cell_type = CellType::kBf16;
  } else if (!cells.empty()) {
    throw Error::make(ErrorKind::kUsage, "unknown cell type '{}': expected f32, f16 or bf16",
                      cells);
  }
  return out;
}

namespace {

// ~/.cache/ebb, or "" where nobody says which folder that is.
std::filesystem::path cache_folder() {
  if (const char* cache = std::getenv("EBB_CACHE"); cache != nullptr && *cache != '\0')
    return cache;
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? std::filesystem::path()
                                          : std::filesystem::path(home) / ".cache/ebb";
}

}  // namespace

std::shared_ptr<const model::Model> open_model(const std::filesystem::path& path) {
  check_fits_to_open(path);
  const std::filesystem::path cache = cache_folder();
  model::check_first_touch(path, cache.empty() ? cache : cache / "checked");
  name_mapped_file(path.string());
  return model::Model::load(path);
}

std::unique_ptr<engine::Engine> open_engine(std::shared_ptr<const model::Model> model,
                                            const ComputeFlags& flags) {
  const engine::EngineOptions options = flags.options();
  return std::make_unique<engine::Engine>(std::move(model), options);
}

void TreatmentFlags::add_to(CLI::App& command) {
  command.add_option("--policy", policy, "what to evict by (see ebb policies)");
  command.add_option("--keep", n_keep, "cells that stay in every layer and KV head")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--positions", positions, "original, compact or colliding")
      ->capture_default_str();
  command.add_option("--set", settings, "a further setting of the treatment, key=value");
}

policy::Treatment TreatmentFlags::treatment() const {
  if (policy.empty() && (n_keep >= 0 || !settings.empty())) {
    throw Error(ErrorKind::kUsage, "--keep and --set need --policy: by what to evict");
  }
  policy::ParamMap params{{"positions", positions}};
  if (n_keep >= 0) params["budget"] = std::to_string(n_keep);
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      throw Error::make(ErrorKind::kUsage, "--set '{}': expected key=value", setting);
    }
    params[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  return policy::make_treatment(policy.empty() ? "none" : policy, params);
}

void TextFlags::add_to(CLI::App& command) {
  auto* text = command.add_option("--text", text_path, "file with the text");
  auto* ids = command.add_option("--ids", ids_path, "file with token ids, a JSON array");
  text->excludes(ids);
}

std::vector<int32_t> TextFlags::ids(const model::Tokenizer& tokenizer) const {
  std::vector<int32_t> out;
  if (!ids_path.empty()) {
    const std::string text = read_text(ids_path);
    const auto ids = integers_of<int32_t>(nlohmann::json::parse(text, nullptr, false));
    if (!ids || holds_nul(text)) {
      throw Error::make(ErrorKind::kBadData, "{}: expected a JSON array of token ids", ids_path);
    }
    out = *ids;
  } else if (!text_path.empty()) {
    out = tokenizer.encode(read_text(text_path), model::ParseSpecial::kNo, model::AddBos::kAsFile);
  } else {
    throw Error(ErrorKind::kUsage, "nothing to read: give --text FILE or --ids FILE");
  }
  if (out.empty()) {
    throw Error::make(ErrorKind::kBadData, "{}: no tokens",
                      text_path.empty() ? ids_path : text_path);
  }
  return out;
}

void add_machines(CLI::App& command, record::Machines& machines) {
  command.add_flag_callback(
      "--any-machine", [&machines] { machines = record::Machines::kAny; },
      "compare units of different machines or builds all the same");
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || !std::filesystem::is_regular_file(path)) {
    throw Error::make(ErrorKind::kBadData, "{}: no file that can be read", path.string());
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

PositionMode parse_positions(std::string_view name) {
  for (const PositionMode mode :
       {PositionMode::kOriginal, PositionMode::kCompact, PositionMode::kColliding}) {
    if (name == policy::to_text(mode)) return mode;
  }
  const std::vector<std::string> known{"original", "compact", "colliding"};
  throw Error::make(ErrorKind::kUsage,
                    "unknown position mode '{}': expected original, compact or colliding{}", name,
                    did_you_mean(name, known));
}

std::string bytes_text(uint64_t n_bytes) {
  const auto n = static_cast<double>(n_bytes);
  if (n >= 1e9) return fmt::format("{:.2f} GB", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.1f} MB", n / 1e6);
  if (n >= 1e3) return fmt::format("{:.1f} kB", n / 1e3);
  return fmt::format("{} B", n_bytes);
}

}  // namespace ebb::app
