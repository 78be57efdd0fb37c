// ebb logits: the model's logits as a NumPy file, with or without an eviction in between.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "command.h"
#include "kept_cells.h"
#include "memory.h"
#include "record/npy.h"

namespace ebb::app {
namespace {

struct LogitsFlags {
  std::string model;
  std::string out;
  std::string kept_path;
  int64_t n_last = 0;
  int64_t evict_at = 0;
  uint64_t seed = 0;
  TextFlags text;
  TreatmentFlags treatment;
  ComputeFlags compute;
};

void run_logits(const LogitsFlags& flags) {
  const auto model = open_model(flags.model);
  const auto tokenizer = model::Tokenizer::load(flags.model);
  const std::vector<int32_t> ids = flags.text.ids(*tokenizer);
  const auto n_ids = static_cast<int64_t>(ids.size());
  if (flags.evict_at < 0 || flags.evict_at >= n_ids) {
    throw Error::make(ErrorKind::kUsage, "--at {}: the text has {} tokens", flags.evict_at, n_ids);
  }
  const bool evicts = flags.evict_at > 0;
  if (!evicts && (!flags.kept_path.empty() || !flags.treatment.policy.empty())) {
    throw Error(ErrorKind::kUsage,
                "--policy and --kept need --at T: after how many tokens to evict");
  }
  if (!flags.kept_path.empty() && !flags.treatment.policy.empty()) {
    throw Error(ErrorKind::kUsage, "--policy and --kept exclude each other");
  }
  check_fits_for_text(*model, flags.compute.options(), static_cast<int64_t>(ids.size()),
                      flags.treatment.treatment());
  const auto opened = open_engine(model, flags.compute);
  engine::Engine& engine = *opened;
  parse_positions(flags.treatment.positions);  // a wrong name is told before anything is computed
  OneEvent event(engine, flags.treatment.treatment(), flags.seed);
  engine::Sequence sequence = event.make_sequence(engine);
  // Small steps: the logits of a step are held in memory, and a vocabulary can be 262,144 wide.
  constexpr int64_t kRows = 128;
  const auto feed = [&](int64_t begin, int64_t end, engine::LogitRows rows) {
    const auto part =
        std::span(ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const engine::StepItem item{&sequence, part, {}, rows};
    return engine.step(std::span(&item, 1));
  };
  if (evicts) {
    feed(0, flags.evict_at, engine::LogitRows::kNone);
    engine.evict(sequence, flags.kept_path.empty()
                               ? event.plan(engine, sequence)
                               : plan_from_file(flags.kept_path, engine, sequence));
  }
  int64_t first = flags.evict_at;
  if (flags.n_last > 0) first = std::max(first, n_ids - flags.n_last);
  if (first > flags.evict_at) feed(flags.evict_at, first, engine::LogitRows::kNone);
  record::NpyWriter out(flags.out, n_ids - first, engine.config().n_vocab);
  for (int64_t at = first; at < n_ids; at += kRows) {
    const engine::StepLogits logits =
        feed(at, std::min(at + kRows, n_ids), engine::LogitRows::kAll);
    out.append(logits.values);
  }
  out.finish();
  fmt::print("{}: logits of tokens {}..{} of {}, float32 [{}, {}], numerics {}\n", flags.out, first,
             n_ids - 1, n_ids, n_ids - first, engine.config().n_vocab, flags.compute.numerics);
}

}  // namespace

void add_logits(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command = app.add_subcommand(
      "logits", "Write a text's logits as a NumPy file; row i predicts the token after token i");
  command->add_option("MODEL", flags->model, "GGUF file")->required();
  flags->text.add_to(*command);
  command->add_option("--last", flags->n_last, "only the last N tokens' rows")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--at", flags->evict_at,
                      "evict after T tokens, then write the logits of the rest");
  command->add_option(
      "--kept", flags->kept_path,
      R"(JSON file {"kept": [layer][kv_head][ordinal ...]}: exactly these cells stay)");
  flags->treatment.add_to(*command);
  command->add_option("--seed", flags->seed, "of random policies")->capture_default_str();
  flags->compute.add_to(*command);
  command->add_option("--out", flags->out, "file to write, .npy")->required();
  command->callback([flags] { run_logits(*flags); });
}

}  // namespace ebb::app
