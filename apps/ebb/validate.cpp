// ebb validate: the plan's three-arm validation on a few conversations.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/platform.h"
#include "command.h"
#include "experiment/validation_run.h"
#include "memory.h"
#include "policy/treatment_text.h"
#include "record/npy.h"

namespace ebb::app {
namespace {

using Clock = std::chrono::steady_clock;

struct ValidateFlags {
  std::string model;
  std::string conversations;
  std::string json_path;
  std::string retention = "0.5";
  std::string positions = "original";
  std::string chat_template;
  std::string evictions_path;
  std::vector<std::string> arms;  // name:key=value,key=value
  int64_t n_limit = 3;
  experiment::ValidationOptions options;
  ComputeFlags compute;
};

bool is_terminal() { return isatty(fileno(stderr)) != 0; }

// One line of a reply, cut to what fits.
std::string excerpt(const std::string& reply, size_t n_max) {
  std::string out;
  for (const char c : reply) {
    const bool is_space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (is_space && (out.empty() || out.back() == ' ')) continue;
    out += is_space ? ' ' : c;
  }
  if (out.size() <= n_max) return out;
  size_t end = n_max;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0U) == 0x80U) --end;
  return out.substr(0, end) + "...";
}

// "511 -> 255": means over the sliding layers; "" where there are none.
std::string sliding_text(const experiment::TurnRecord& turn) {
  double before = 0;
  double after = 0;
  int n = 0;
  for (const experiment::LayerCells& layer : turn.layers) {
    if (layer.layer_class != model::LayerClass::kSliding) continue;
    before += layer.before.mean;
    after += layer.after.mean;
    ++n;
  }
  return n == 0 ? "" : fmt::format("   sliding layers {:.0f} -> {:.0f}", before / n, after / n);
}

void print_turn(const std::vector<experiment::ArmRecord>& arms, size_t turn) {
  size_t width = 0;
  for (const experiment::ArmRecord& arm : arms) width = std::max(width, arm.arm.size() + 2);
  for (size_t c = 0; c < arms.front().conversations.size(); ++c) {
    if (turn >= arms.front().conversations[c].turns.size()) continue;
    fmt::print("\n{}, turn {}\n", arms.front().conversations[c].id,
               arms.front().conversations[c].turns[turn].turn);
    fmt::print("  {:<{}}{:>8}{:>8}{:>14}{:>12}{:>12}\n", "arm", width, "prompt", "reply", "cells",
               "bytes", "of baseline");
    for (const experiment::ArmRecord& arm : arms) {
      const experiment::TurnRecord& t = arm.conversations[c].turns[turn];
      fmt::print("  {:<{}}{:>8}{:>8}{:>14}{:>12}{:>11.0f}%{}\n", arm.arm, width, t.prompt_tokens,
                 t.generated_tokens, fmt::format("{:.0f} -> {:.0f}", t.cells_before, t.cells_after),
                 bytes_text(t.bytes_after), 100.0 * t.baseline_share, sliding_text(t));
    }
    for (const experiment::ArmRecord& arm : arms) {
      fmt::print("  {:<{}}\"{}\"\n", arm.arm, width,
                 excerpt(arm.conversations[c].turns[turn].reply, 150));
    }
  }
}

// "snapkv:budget=100,window=16"; a list inside a value is written with '+'.
policy::Treatment parse_arm(const std::string& text, const std::string& positions) {
  const size_t colon = text.find(':');
  policy::ParamMap params{{"positions", positions}};
  if (colon != std::string::npos) {
    for (const std::string& setting : policy::split_list(text.substr(colon + 1))) {
      const size_t equals = setting.find('=');
      if (equals == std::string::npos) {
        throw Error::make(ErrorKind::kUsage, "--arm {}: '{}' is not key=value", text, setting);
      }
      std::string value = setting.substr(equals + 1);
      std::replace(value.begin(), value.end(), '+', ',');
      params[setting.substr(0, equals)] = value;
    }
  }
  return policy::make_treatment(text.substr(0, colon), params);
}

// A run can take an hour: that its result has no place is told before.
void check_writable(const std::string& path) {
  const std::string part = path + ".part";
  std::FILE* file = std::fopen(part.c_str(), "wb");
  if (file == nullptr) throw Error::make(ErrorKind::kStorage, "{}: cannot be written", path);
  std::fclose(file);
  std::remove(part.c_str());
}

std::string_view mark(experiment::Verdict verdict) {
  switch (verdict) {
    case experiment::Verdict::kPass:
      return "pass";
    case experiment::Verdict::kFail:
      return "FAIL";
    case experiment::Verdict::kNotAssessable:
      return "n/a";
  }
  return "";
}

// Puts the flags' texts into the options, and refuses what no run could use.
void read_flags(ValidateFlags& flags) {
  flags.options.retention = Ratio::parse(flags.retention);
  flags.options.positions = parse_positions(flags.positions);
  if (flags.options.n_new_max < 1 || flags.options.n_new_max > 1'000'000) {
    throw Error::make(ErrorKind::kUsage, "--max-new {}: expected 1 to 1000000",
                      flags.options.n_new_max);
  }
  if (flags.n_limit < 1)
    throw Error::make(ErrorKind::kUsage, "--limit {}: expected at least 1", flags.n_limit);
  for (const std::string& arm : flags.arms) {
    flags.options.further_arms.push_back(parse_arm(arm, flags.positions));
  }
  for (const std::string& path : {flags.json_path, flags.evictions_path}) {
    if (!path.empty()) check_writable(path);
  }
}

experiment::ConversationSet load_some(const ValidateFlags& flags) {
  experiment::ConversationSet set = experiment::load_conversations(flags.conversations);
  for (const std::string& notice : set.notices) fmt::print("note: {}\n", notice);
  if (set.conversations.empty()) {
    throw Error::make(ErrorKind::kBadData, "{}: no conversations", flags.conversations);
  }
  const size_t n = std::min(set.conversations.size(), static_cast<size_t>(flags.n_limit));
  set.conversations.resize(n);
  return set;
}

void print_setting(const ValidateFlags& flags, const engine::Engine& engine,
                   const model::Model& model) {
  fmt::print("model: {} ({}, {} layers x {} KV heads x {}, {}), numerics {}, positions {}\n",
             engine.config().name, engine.config().architecture, engine.config().n_layers,
             engine.config().n_kv_heads, engine.config().head_dim,
             bytes_text(model.weights_bytes()), flags.compute.numerics, flags.positions);
  fmt::print(
      "arms: baseline; streaming keeps the first {} and the last {} cells; random keeps {} of each "
      "layer's cells\n",
      flags.options.keep_initial, flags.options.keep_recent, flags.options.retention.text());
}

// Turns as they end; on a terminal the rate in between.
experiment::ValidationListener show_progress(Clock::time_point started) {
  experiment::ValidationListener listener;
  listener.on_step = [started, last_shown = started](size_t turn, int64_t n_tokens) mutable {
    const auto now = Clock::now();
    if (!is_terminal() || now - last_shown < std::chrono::milliseconds(200)) return;
    last_shown = now;
    const double seconds = std::chrono::duration<double>(now - started).count();
    fmt::print(stderr, "\r  turn {}: {} tokens, {:.0f} tokens/s ", turn + 1, n_tokens,
               static_cast<double>(n_tokens) / seconds);
  };
  listener.on_turn = [](const std::vector<experiment::ArmRecord>& arms, size_t turn) {
    if (is_terminal()) fmt::print(stderr, "\r{:60}\r", "");
    print_turn(arms, turn);
    std::fflush(stdout);
  };
  return listener;
}

void print_verdicts(const experiment::ValidationInput& result,
                    const std::vector<experiment::Criterion>& criteria) {
  for (const experiment::ArmRecord& arm : result.arms) {
    if (arm.query_visible) {
      fmt::print("\nnote: arm '{}' is query-visible: its policy runs when the message is known\n",
                 arm.arm);
    }
    if (arm.kind == experiment::ArmKind::kBaseline || arm.n_evicted > 0) continue;
    fmt::print("\nWARNING: arm '{}' never removed a cell: it is the baseline under another name\n",
               arm.arm);
  }
  fmt::print("\nThe plan's criteria\n");
  for (const experiment::Criterion& criterion : criteria) {
    fmt::print("  {:<5} {}: {}\n", mark(criterion.verdict), criterion.name, criterion.detail);
  }
}

// Writes it where the flag asks for it.
void write_wanted(const std::string& path, const std::string& content) {
  if (path.empty()) return;
  record::write_file(path, content);
  fmt::print("written: {}\n", path);
}

void run_validate(ValidateFlags& flags) {
  const auto started = Clock::now();
  read_flags(flags);
  const experiment::ConversationSet set = load_some(flags);
  std::string eviction_log;
  if (!flags.evictions_path.empty()) flags.options.eviction_log = &eviction_log;
  const auto model = open_model(flags.model);
  const auto tokenizer = model::Tokenizer::load(flags.model);
  const auto format = model::ChatTemplate::find(*tokenizer, flags.chat_template);
  if (!format.notice().empty()) fmt::print("note: {}\n", format.notice());
  const engine::EngineOptions compute = flags.compute.options();
  const engine::MemoryPlan memory = experiment::plan_memory(
      *model, compute, *tokenizer, format.format(), set.conversations, flags.options);
  fmt::print("memory: needs about {}; {} available\n", bytes_text(memory.predicted_peak()),
             bytes_text(usable_memory().available_bytes));
  check_fits(memory, compute, "lower --limit or --max-new");
  const auto engine = open_engine(model, flags.compute);
  print_setting(flags, *engine, *model);
  const experiment::ValidationInput result =
      experiment::run_validation(*engine, tokenizer, format.format(), set.conversations,
                                 flags.options, show_progress(started));
  const std::vector<experiment::Criterion> criteria = experiment::judge(result);
  print_verdicts(result, criteria);
  fmt::print("\n{:.1f} s on {} threads\n",
             std::chrono::duration<double>(Clock::now() - started).count(), engine->n_threads());
  write_wanted(flags.evictions_path, eviction_log);
  if (!flags.json_path.empty()) {
    write_wanted(flags.json_path, experiment::to_json(result, criteria));
  }
}

}  // namespace

void add_validate(CLI::App& app) {
  auto flags = std::make_shared<ValidateFlags>();
  CLI::App* command = app.add_subcommand(
      "validate", "Run baseline, StreamingLLM and random eviction over a few conversations");
  command->add_option("--model", flags->model, "GGUF file")->required();
  command->add_option("--conversations", flags->conversations, "JSON file")->required();
  command->add_option("--limit", flags->n_limit, "conversations at most")->capture_default_str();
  command
      ->add_option("--keep-initial", flags->options.keep_initial,
                   "streaming: cells kept from the start")
      ->capture_default_str();
  command->add_option("--keep-recent", flags->options.keep_recent, "streaming: newest cells kept")
      ->capture_default_str();
  command
      ->add_option("--retention", flags->retention, "random: share of the cells kept at each event")
      ->capture_default_str();
  command->add_option("--max-new", flags->options.n_new_max, "reply tokens at most")
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "of random eviction")->capture_default_str();
  command->add_option("--positions", flags->positions, "original, compact or colliding")
      ->capture_default_str();
  command->add_option("--chat-template", flags->chat_template,
                      "a named turn format instead of the file's own");
  command->add_option("--arm", flags->arms,
                      "a further arm, NAME or NAME:key=value,key=value (see ebb policies)");
  command->add_option("--evictions", flags->evictions_path,
                      "write every eviction event there, one JSON line each");
  command->add_option("--json", flags->json_path, "write everything there");
  flags->compute.add_to(*command);
  command->callback([flags] { run_validate(*flags); });
}

}  // namespace ebb::app
