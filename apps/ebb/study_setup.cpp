#include "study_setup.h"

#include <fmt/format.h>

#include <fstream>

#include "base/error.h"
#include "base/platform.h"
#include "base/sha256.h"
#include "base/text.h"
#include "eval/rules.h"
#include "experiment/unit_id.h"
#include "memory.h"

namespace ebb::app {

void add_lanes(CLI::App& command, int& n_lanes) {
  command.add_option("--lanes", n_lanes, "sequences that advance together at most")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
}

void set_limits(experiment::RunOptions& options, int n_lanes) {
  options.n_lanes_max = n_lanes;
  options.n_bytes_max = usable_memory().available_bytes / 2;
}

void StudyFlags::add_to(CLI::App& command) {
  command.add_option("study", study, "a study file (TOML), or the name of a preset")->required();
  command.add_option("--model", model, "GGUF file");
  command.add_option("--data", data, "conversations (docs/file-formats.md has the formats)");
  command.add_option("--limit", limit, "conversations at most");
  command.add_option("--max-new", max_new, "reply tokens at most");
  command.add_option("--seed", seed, "run this seed only");
  command.add_option("--set", settings,
                     "another setting of the study: key=value, such as statistics.primary=recall");
  command.add_option("--chat-template", chat_template,
                     "a named turn format instead of the file's own");
  compute.add_to(command);
}

experiment::Study read_study(const StudyFlags& flags) {
  std::string text;
  std::vector<std::string> names;
  for (const experiment::Preset& preset : experiment::presets()) {
    names.push_back(preset.name);
    if (preset.name == flags.study) text = preset.text;
  }
  if (text.empty()) {
    if (!std::filesystem::is_regular_file(flags.study)) {
      throw Error::make(ErrorKind::kUsage, "{}: neither a file nor a preset ({}){}", flags.study,
                        fmt::join(names, ", "), did_you_mean(flags.study, names));
    }
    text = read_text(flags.study);
  }
  std::vector<std::string> overrides = flags.settings;
  if (flags.limit >= 0) overrides.push_back(fmt::format("limit={}", flags.limit));
  if (flags.max_new >= 0) overrides.push_back(fmt::format("max_new={}", flags.max_new));
  if (flags.seed >= 0) overrides.push_back(fmt::format("seeds=[{}]", flags.seed));
  experiment::Study study = experiment::parse_study(text, flags.study, overrides);
  if (!flags.model.empty()) study.model = flags.model;
  if (!flags.data.empty()) study.data = flags.data;
  if (study.model.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: no model: give --model FILE", flags.study);
  }
  if (study.data.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: no conversations: give --data FILE", flags.study);
  }
  return study;
}

namespace {

// A rule that nobody can check would show only after everything was computed.  Throws: kBadData.
void check_rules(const experiment::ConversationSet& data) {
  for (const experiment::Conversation& conversation : data.conversations) {
    for (const experiment::ConversationTurn& turn : conversation.turns) {
      if (!turn.instruction) continue;
      try {
        for (const std::string& rule : turn.instruction->rules) (void)eval::parse_rule(rule);
      } catch (const Error& error) {
        throw error.with_context(fmt::format("{}:{}: conversation '{}', instruction '{}'",
                                             data.name, turn.line, conversation.id,
                                             turn.instruction->id));
      }
    }
  }
}

}  // namespace

void open_rest(OpenStudy& open, const std::filesystem::path& model_path,
               const std::string& chat_template, const ComputeFlags& compute,
               const std::string& advice) {
  open.tokenizer = model::Tokenizer::load(model_path);
  open.format = std::make_unique<model::ChatTemplate>(
      model::ChatTemplate::find(*open.tokenizer, chat_template));
  const engine::EngineOptions options = compute.options();
  check_fits(engine::plan_memory(*open.model, options, {}, options.n_rows_max,
                                 static_cast<int>(open.study.max_new)),
             options, advice);
  open.engine = open_engine(open.model, compute);
  open.context.study = &open.study;
  open.context.engine = open.engine.get();
  open.context.tokenizer = open.tokenizer;
  open.context.format = open.format->format();
  open.context.key =
      experiment::study_key(open.study, *open.engine, *open.format, open.model_sha256);
}

std::unique_ptr<OpenStudy> open_study(const StudyFlags& flags) {
  auto open = std::make_unique<OpenStudy>();
  open->study = read_study(flags);
  const experiment::Study& study = open->study;
  if (!std::filesystem::exists(study.data)) {
    throw Error::make(
        ErrorKind::kBadData,
        "{}: no such file, expected conversations; the set of the presets lies in the "
        "project's folder: run ebb there or give --data FILE",
        study.data);
  }
  open->data = experiment::load_conversations(study.data);
  experiment::sample_conversations(open->data.conversations, study.limit);
  const std::string notice = experiment::settle_primary(open->study, open->data.conversations);
  if (!notice.empty()) fmt::print(stderr, "note: {}\n", notice);
  check_rules(open->data);
  open->model = open_model(study.model);
  open->model_sha256 = sha256_file(study.model);
  open_rest(*open, study.model, flags.chat_template, flags.compute, "lower --max-new");
  // What a file is says its hash; where it lies may change between two runs of a study.
  open->study.model = std::filesystem::path(study.model).filename().string();
  open->study.data = std::filesystem::path(study.data).filename().string();
  return open;
}

std::string time_text(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.0f} min", seconds / 60)
                        : fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace ebb::app
