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
#include "stats/power.h"

namespace ebb::app {

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
  if (!notice.empty()) fmt::print("note: {}\n", notice);
  check_rules(open->data);
  open->model = open_model(study.model);
  open->model_sha256 = sha256_file(study.model);
  open_rest(*open, study.model, flags.chat_template, flags.compute, "lower --max-new");
  // What a file is says its hash; where it lies may change between two runs of a study.
  open->study.model = std::filesystem::path(study.model).filename().string();
  open->study.data = std::filesystem::path(study.data).filename().string();
  return open;
}

namespace {

std::string detection_text(const experiment::Study& study, size_t n_conversations) {
  size_t n_confirmatory = 0;
  for (const auto& contrast : study.contrasts) {
    n_confirmatory += contrast.family == "confirmatory" ? 1 : 0;
  }
  const stats::DetectionPlan plan =
      stats::plan_detection(n_conversations, std::max<size_t>(n_confirmatory, 1), study.alpha);
  std::string out =
      fmt::format("can detect, with {} conversations, {} confirmatory contrasts and 80 % power:\n",
                  plan.n_pairs, plan.n_contrasts);
  for (const auto& binary : plan.binary) {
    out += fmt::format("  pass or fail, {:.0f} % of pairs differ: ", 100 * binary.discordance);
    out += binary.exact ? fmt::format("{:.0f} percentage points or more\n", 100 * *binary.exact)
                        : "nothing: too few conversations\n";
  }
  out +=
      plan.continuous_sd
          ? fmt::format("  a continuous endpoint: {:.2f} standard deviations of the differences\n",
                        *plan.continuous_sd)
          : "  a continuous endpoint: nothing, one conversation is no sample\n";
  return out;
}

}  // namespace

std::string plan_text(const OpenStudy& open, const experiment::StudyPlan& plan) {
  const experiment::Study& study = open.study;
  std::string out = fmt::format("study '{}': {} conversations x {} arms = {} units\n", study.name,
                                plan.n_families, study.arms.size(), plan.n_units);
  for (const experiment::StudyArm& arm : study.arms) {
    out += fmt::format("  {:<22} {:<14} {} seed{}\n", arm.name, experiment::to_text(arm.kind),
                       experiment::seeds_of(study, arm).size(),
                       experiment::seeds_of(study, arm).size() == 1 ? "" : "s");
  }
  out += fmt::format("primary endpoint: {}; history: {}\n", study.primary_endpoint,
                     experiment::to_text(study.history));
  out += detection_text(study, plan.n_families);
  out += fmt::format(
      "at most {} tokens (the longest conversation has {}); {} at most for a family's "
      "cells and logits\n",
      plan.n_tokens(), plan.n_tokens_longest, bytes_text(plan.n_bytes_family));
  if (plan.n_shared_tokens() > 0) {
    out += fmt::format(
        "shared between arms: {} of these tokens ({:.0f} %) are computed once\n",
        plan.n_shared_tokens(),
        100.0 * static_cast<double>(plan.n_shared_tokens()) / static_cast<double>(plan.n_tokens()));
  }
  return out;
}

std::string time_text(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.0f} min", seconds / 60)
                        : fmt::format("{:.1f} h", seconds / 3600);
}

std::string time_estimate_text(const experiment::StudyPlan& plan,
                               const experiment::SpeedProbe& speed) {
  return fmt::format(
      "about {} on this machine as it is now, if all replies are that long: {:.0f} prompt tokens/s "
      "and {:.0f} reply "
      "tokens/s with {} sequences (measured)\n",
      time_text(experiment::seconds_of(plan, speed)), speed.prompt_tokens_per_s,
      speed.reply_tokens_per_s, speed.n_sequences);
}

}  // namespace ebb::app
