// ebb generate: conversations from the built-in bank.
#include <fmt/format.h>

#include <memory>

#include "command.h"
#include "experiment/balanced_set.h"
#include "experiment/conversation_json.h"
#include "experiment/generator.h"
#include "record/npy.h"

namespace ebb::app {
namespace {

struct Flags {
  std::string kind;
  int age = -1;
  experiment::GeneratorOptions options;
  bool is_balanced = false;
  std::string out;
};

void run(const Flags& flags) {
  const experiment::ConversationBank& bank = experiment::builtin_bank();
  experiment::ConversationSet set;
  if (flags.is_balanced) {
    set = experiment::make_balanced_set(bank);
  } else {
    experiment::GeneratorOptions options = flags.options;
    options.kind = experiment::parse_conflict_kind(flags.kind);
    if (flags.age >= 0) options.age = flags.age;
    set.version = fmt::format("{}-generated", bank.version);
    set.conversations = experiment::generate(bank, options);
  }
  record::write_file(flags.out, experiment::conversations_to_json(set));
  fmt::print("{}: {} conversations\n", flags.out, set.conversations.size());
}

}  // namespace

void add_generate(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("generate", "Compose conversations with instructions");
  auto* balanced = command->add_flag("--balanced", flags->is_balanced,
                                     "the project's own set, data/conflicts.json");
  const std::string kinds = fmt::format("{}", fmt::join(experiment::conflict_kind_names(), ", "));
  command->add_option("--kind", flags->kind, kinds)->excludes(balanced)->default_str("overriding");
  flags->kind = "overriding";
  command
      ->add_option("--age", flags->age,
                   "exchanges between the deciding instruction and the scored turn (default: as "
                   "many as the length allows)")
      ->check(CLI::NonNegativeNumber)
      ->excludes(balanced);
  command
      ->add_option("--tokens", flags->options.n_tokens_min,
                   "at least so many before the scored turn, estimated")
      ->check(CLI::NonNegativeNumber)
      ->excludes(balanced);
  command->add_option("--count", flags->options.count, "conversations")
      ->capture_default_str()
      ->excludes(balanced);
  command->add_option("--seed", flags->options.seed, "of every draw")
      ->capture_default_str()
      ->excludes(balanced);
  command->add_option("--out", flags->out, "JSON file to write")->required();
  command->callback([flags] { run(*flags); });
}

}  // namespace ebb::app
