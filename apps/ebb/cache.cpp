// ebb cache: prefill a text, evict by a policy, dump what is left of the cache.
#include <fmt/format.h>

#include "base/error.h"
#include "command.h"
#include "kept_cells.h"
#include "memory.h"
#include "record/npy.h"

namespace ebb::app {
namespace {

struct CacheFlags {
  std::string model;
  std::string out;
  uint64_t seed = 0;
  TextFlags text;
  TreatmentFlags treatment;
  ComputeFlags compute;
};

void dump_npz(const std::string& path, const engine::Engine& engine,
              const engine::Sequence& sequence) {
  record::NpzWriter out;
  engine::Engine::HeadContent content;
  std::vector<uint32_t> ordinals;
  for (int layer = 0; layer < engine.config().n_layers; ++layer) {
    for (int head = 0; head < engine.config().n_kv_heads; ++head) {
      engine.read_head(sequence, layer, head, content);
      ordinals.clear();
      for (const Ordinal ordinal : content.ordinals) ordinals.push_back(ordinal.value);
      const auto n = static_cast<int64_t>(ordinals.size());
      const std::string where = fmt::format("layer{}_head{}", layer, head);
      out.add("ordinals_" + where, ordinals, std::vector<int64_t>{n});
      out.add("k_" + where, content.keys, std::vector<int64_t>{n, engine.config().head_dim});
      out.add("v_" + where, content.values, std::vector<int64_t>{n, engine.config().head_dim});
    }
  }
  out.write(path);
}

void run_cache(const CacheFlags& flags) {
  const bool is_json = flags.out.ends_with(".json");
  if (!is_json && !flags.out.ends_with(".npz")) {
    throw Error::make(ErrorKind::kUsage, "--out {}: expected a name that ends in .npz or .json",
                      flags.out);
  }
  const auto model = open_model(flags.model);
  const auto tokenizer = model::Tokenizer::load(flags.model);
  const std::vector<int32_t> ids = flags.text.ids(*tokenizer);
  const policy::Treatment treatment = flags.treatment.treatment();
  check_fits_for_text(*model, flags.compute.options(), static_cast<int64_t>(ids.size()),
                      flags.treatment.treatment());
  const auto opened = open_engine(model, flags.compute);
  engine::Engine& engine = *opened;
  OneEvent event(engine, treatment, flags.seed);
  engine::Sequence sequence = event.make_sequence(engine);
  const engine::StepItem item{&sequence, ids, {}, engine::LogitRows::kNone};
  engine.step(std::span(&item, 1));
  const uint64_t n_before = sequence.cells().n_cells_total();
  const size_t bytes_before = sequence.cells().bytes_cells();
  engine.evict(sequence, event.plan(engine, sequence));
  if (is_json) {
    record::write_file(flags.out, kept_json(engine, sequence));
  } else {
    dump_npz(flags.out, engine, sequence);
  }
  fmt::print("{}: {} tokens, {} -> {} cells, {} -> {}\n", flags.out, ids.size(), n_before,
             sequence.cells().n_cells_total(), bytes_text(bytes_before),
             bytes_text(sequence.cells().bytes_cells()));
}

}  // namespace

void add_cache(CLI::App& app) {
  auto flags = std::make_shared<CacheFlags>();
  CLI::App* command =
      app.add_subcommand("cache", "Prefill a text, evict, and dump the cells that are left");
  command->add_option("MODEL", flags->model, "GGUF file")->required();
  flags->text.add_to(*command);
  flags->treatment.add_to(*command);
  command->add_option("--seed", flags->seed, "of random policies")->capture_default_str();
  flags->compute.add_to(*command);
  command
      ->add_option(
          "--out", flags->out,
          ".json: the ordinals kept; .npz: also K and V in the channel order of HF transformers")
      ->required();
  command->callback([flags] { run_cache(*flags); });
}

}  // namespace ebb::app
