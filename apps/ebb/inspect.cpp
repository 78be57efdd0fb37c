// ebb inspect: what a model's KV cache is made of, and what treatments make of it.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/sha256.h"
#include "command.h"
#include "experiment/cache_size.h"
#include "model/chat_template.h"

namespace ebb::app {
namespace {

struct InspectFlags {
  std::string model;
  std::string cells = "f16";
  bool as_json = false;
  bool with_hash = false;
};

constexpr int64_t kLengths[] = {1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};

CellType cell_type_named(const std::string& name) {
  if (name == "f32") return CellType::kF32;
  if (name == "f16") return CellType::kF16;
  if (name == "bf16") return CellType::kBf16;
  throw Error::make(ErrorKind::kUsage, "unknown cell type '{}': expected f32, f16 or bf16", name);
}

nlohmann::json report_json(const model::Model& model, const experiment::CacheGeometry& geometry,
                           const InspectFlags& flags) {
  const model::ModelConfig& c = model.config();
  nlohmann::json lengths = nlohmann::json::array();
  for (const int64_t n : kLengths) {
    nlohmann::json row{{"n_tokens", n}};
    for (const auto& [name, size] : experiment::cache_sizes(geometry, n)) {
      row[name] = {{"cells_global", size.n_global},
                   {"cells_sliding", size.n_sliding},
                   {"bytes", size.n_bytes}};
    }
    lengths.push_back(std::move(row));
  }
  nlohmann::json out{{"model", c.name},
                     {"architecture", c.architecture},
                     {"n_layers", c.n_layers},
                     {"n_layers_sliding", geometry.n_sliding},
                     {"window", c.window},
                     {"n_q_heads", c.n_q_heads},
                     {"n_kv_heads", c.n_kv_heads},
                     {"head_dim", c.head_dim},
                     {"n_embd", c.n_embd},
                     {"n_vocab", c.n_vocab},
                     {"n_ctx_train", c.n_ctx_train},
                     {"weights_bytes", model.weights_bytes()},
                     {"cell_type", flags.cells},
                     {"bytes_per_cell", geometry.cell_bytes},
                     {"bytes_per_token_per_layer", geometry.bytes_per_token_per_layer()},
                     {"lengths", std::move(lengths)}};
  if (flags.with_hash) out["sha256"] = sha256_file(flags.model);
  return out;
}

void print_report(const model::Model& model, const experiment::CacheGeometry& geometry,
                  const InspectFlags& flags) {
  const model::ModelConfig& c = model.config();
  fmt::print("{} ({})\n", c.name.empty() ? flags.model : c.name, c.architecture);
  fmt::print("  weights             {} in {}\n", bytes_text(model.weights_bytes()), flags.model);
  if (flags.with_hash) fmt::print("  sha256              {}\n", sha256_file(flags.model));
  fmt::print("  layers              {} ({} global, {} sliding{})\n", c.n_layers, geometry.n_global,
             geometry.n_sliding, c.window > 0 ? fmt::format(" with a window of {}", c.window) : "");
  fmt::print("  heads               {} query, {} KV of {} channels\n", c.n_q_heads, c.n_kv_heads,
             c.head_dim);
  fmt::print("  trained for         {} tokens, vocabulary of {}\n", c.n_ctx_train, c.n_vocab);
  fmt::print(
      "  keys of a layer     [{}, {}, n_cells] (channel fastest); values the same; {} numbers\n",
      c.head_dim, c.n_kv_heads, flags.cells);
  fmt::print("  one cell            {} bytes (K and V of one token in one layer and KV head)\n",
             geometry.cell_bytes);
  fmt::print("  one token           {} bytes a layer, {} in all layers\n",
             geometry.bytes_per_token_per_layer(),
             bytes_text(geometry.bytes_per_token_per_layer() * static_cast<uint64_t>(c.n_layers)));
  fmt::print(
      "\nThe whole cache, as cells per KV head of a global layer (and of a sliding one), and "
      "bytes\n");
  fmt::print("{:>9}", "tokens");
  for (const auto& [name, size] : experiment::cache_sizes(geometry, kLengths[0]))
    fmt::print("{:>28}", name);
  fmt::print("\n");
  for (const int64_t n : kLengths) {
    fmt::print("{:>9}{}", n, n > c.n_ctx_train ? "*" : " ");
    bool is_first = true;
    for (const auto& [name, size] : experiment::cache_sizes(geometry, n)) {
      const std::string cells = geometry.n_sliding > 0
                                    ? fmt::format("{} ({})", size.n_global, size.n_sliding)
                                    : fmt::format("{}", size.n_global);
      fmt::print("{:>{}}", fmt::format("{}  {:>9}", cells, bytes_text(size.n_bytes)),
                 is_first ? 27 : 28);
      is_first = false;
    }
    fmt::print("\n");
  }
  if (kLengths[std::size(kLengths) - 1] > c.n_ctx_train)
    fmt::print("* longer than the model was trained for\n");
}

void run_inspect(const InspectFlags& flags) {
  const auto model = open_model(flags.model);
  const auto geometry = experiment::cache_geometry(model->config(), cell_type_named(flags.cells));
  if (flags.as_json) {
    print_json(report_json(*model, geometry, flags));
  } else {
    print_report(*model, geometry, flags);
  }
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Show a model's architecture, its cache shapes and what treatments make of them");
  command->add_option("MODEL", flags->model, "GGUF file")->required();
  command->add_option("--cells", flags->cells, "number type of cells: f32, f16 or bf16")
      ->capture_default_str();
  command->add_flag("--json", flags->as_json, "as JSON");
  command->add_flag("--hash", flags->with_hash, "also the file's SHA-256");
  command->callback([flags] { run_inspect(*flags); });
}

}  // namespace ebb::app
