// ebb plan: what a study will run, need, take and be able to detect, as lines or as JSON. Nothing
// is run but a short probe of the machine's speed.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "memory.h"
#include "stats/power.h"
#include "study_setup.h"

namespace ebb::app {
namespace {

using Json = nlohmann::ordered_json;

struct PlanFlags {
  StudyFlags study;
  int n_lanes = experiment::RunOptions{}.n_lanes_max;
  bool as_json = false;
};

stats::DetectionPlan detection_of(const experiment::Study& study, size_t n_conversations) {
  size_t n_confirmatory = 0;
  for (const auto& contrast : study.contrasts) {
    n_confirmatory += contrast.family == "confirmatory" ? 1 : 0;
  }
  return stats::plan_detection(n_conversations, std::max<size_t>(n_confirmatory, 1), study.alpha);
}

// The whole need beside what the machine has for this process.
struct Memory {
  experiment::StudyMemory study;
  std::vector<engine::MemoryPart> parts;  // every one that is not 0
  uint64_t needed = 0;
  uint64_t available =
      0;  // what the process has by now, weights mostly, and can still take; 0: unknown
  uint64_t physical = 0;
};

Memory memory_for(const OpenStudy& open, const experiment::StudyPlan& plan,
                  const experiment::RunOptions& options) {
  Memory out;
  out.study = experiment::memory_of(open.context, plan, options);
  out.parts = out.study.plan.parts;
  out.parts.push_back({"threads and slack", thread_and_slack_bytes(open.engine->options())});
  std::erase_if(out.parts, [](const engine::MemoryPart& part) { return part.n_bytes == 0; });
  for (const engine::MemoryPart& part : out.parts) out.needed += part.n_bytes;
  const platform::MemoryStatus machine = usable_memory();
  if (machine.available_bytes > 0) {
    out.available = machine.available_bytes + platform::resident_bytes();
  }
  out.physical = machine.physical_bytes;
  return out;
}

std::string memory_text(const Memory& memory) {
  std::string out = fmt::format(
      "memory at most, with {} conversation{} in {} sequences at once (fewer --lanes: fewer):\n",
      memory.study.n_families, memory.study.n_families == 1 ? "" : "s", memory.study.n_sequences);
  for (const engine::MemoryPart& part : memory.parts) {
    out += fmt::format("  {:<24}{:>12}\n", part.name, bytes_text(part.n_bytes));
  }
  out += fmt::format("  {:<24}{:>12}\n", "needed", bytes_text(memory.needed));
  if (memory.available == 0) return out;
  return out + fmt::format("  {:<24}{:>12} of {}{}\n", "available", bytes_text(memory.available),
                           bytes_text(memory.physical),
                           memory.needed > memory.available ? ": less than it may need" : "");
}

std::string detection_text(const stats::DetectionPlan& plan) {
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

std::string time_estimate_text(const experiment::StudyPlan& plan,
                               const experiment::SpeedProbe& speed) {
  return fmt::format(
      "about {} on this machine as it is now, if all replies are that long: {:.0f} prompt tokens/s "
      "and {:.0f} reply tokens/s with {} sequences (measured)\n",
      time_text(experiment::seconds_of(plan, speed)), speed.prompt_tokens_per_s,
      speed.reply_tokens_per_s, speed.n_sequences);
}

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json memory_json(const Memory& memory) {
  Json parts = Json::array();
  for (const engine::MemoryPart& part : memory.parts) {
    parts.push_back({{"name", part.name}, {"bytes", part.n_bytes}});
  }
  return {{"conversations_at_once", memory.study.n_families},
          {"sequences_at_once", memory.study.n_sequences},
          {"parts", std::move(parts)},
          {"needed_bytes", memory.needed},
          {"file_bytes", memory.study.plan.file_bytes},
          {"available_bytes", memory.available > 0 ? Json(memory.available) : Json(nullptr)},
          {"physical_bytes", memory.physical > 0 ? Json(memory.physical) : Json(nullptr)}};
}

Json detection_json(const stats::DetectionPlan& plan) {
  Json binary = Json::array();
  for (const auto& each : plan.binary) {
    binary.push_back({{"discordance", each.discordance},
                      {"difference_normal", json_of(each.normal)},
                      {"difference_exact", json_of(each.exact)}});
  }
  return {{"conversations", plan.n_pairs},
          {"confirmatory_contrasts", plan.n_contrasts},
          {"alpha", plan.alpha},
          {"alpha_each", plan.alpha_each},
          {"power", plan.power},
          {"pass_or_fail", std::move(binary)},
          {"continuous_sd", json_of(plan.continuous_sd)}};
}

Json plan_json(const OpenStudy& open, const experiment::StudyPlan& plan, const Memory& memory,
               const experiment::SpeedProbe& speed) {
  const experiment::Study& study = open.study;
  Json arms = Json::array();
  for (const experiment::StudyArm& arm : study.arms) {
    arms.push_back({{"name", arm.name},
                    {"kind", experiment::to_text(arm.kind)},
                    {"seeds", experiment::seeds_of(study, arm).size()}});
  }
  return {{"study", study.name},
          {"model", open.engine->config().name},
          {"model_sha256", open.model_sha256},
          {"numerics", engine::numerics_name(open.engine->options().numerics)},
          {"history", experiment::to_text(study.history)},
          {"primary_endpoint", study.primary_endpoint},
          {"conversations", plan.n_families},
          {"units", plan.n_units},
          {"arms", std::move(arms)},
          {"tokens",
           {{"prompt", plan.n_prompt_tokens},
            {"reply", plan.n_reply_tokens},
            {"shared_prompt", plan.n_shared_prompt},
            {"shared_reply", plan.n_shared_reply},
            {"longest_conversation", plan.n_tokens_longest}}},
          {"memory", memory_json(memory)},
          {"time",
           {{"seconds", experiment::seconds_of(plan, speed)},
            {"prompt_tokens_per_s", speed.prompt_tokens_per_s},
            {"reply_tokens_per_s", speed.reply_tokens_per_s},
            {"sequences", speed.n_sequences}}},
          {"can_detect", detection_json(detection_of(study, plan.n_families))}};
}

void print_plan(const PlanFlags& flags) {
  const auto open = open_study(flags.study);
  const experiment::StudyPlan plan =
      experiment::plan_study(open->context, open->data.conversations);
  experiment::RunOptions options;
  set_limits(options, flags.n_lanes);
  const auto n_sequences =
      static_cast<int>(std::min<size_t>(plan.n_units, static_cast<size_t>(options.n_lanes_max)));
  if (flags.as_json) {
    const Memory memory = memory_for(*open, plan, options);
    const auto speed = experiment::probe_speed(*open->engine, plan, n_sequences);
    print_json(plan_json(*open, plan, memory, speed));
    return;
  }
  fmt::print("{}", plan_text(*open, plan, options));
  std::fflush(stdout);
  fmt::print("{}",
             time_estimate_text(plan, experiment::probe_speed(*open->engine, plan, n_sequences)));
}

}  // namespace

std::string plan_text(const OpenStudy& open, const experiment::StudyPlan& plan,
                      const experiment::RunOptions& options) {
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
  out += detection_text(detection_of(study, plan.n_families));
  out += fmt::format("at most {} tokens (the longest conversation has {})\n", plan.n_tokens(),
                     plan.n_tokens_longest);
  if (plan.n_shared_tokens() > 0) {
    out += fmt::format(
        "shared between arms: {} of these tokens ({:.0f} %) are computed once\n",
        plan.n_shared_tokens(),
        100.0 * static_cast<double>(plan.n_shared_tokens()) / static_cast<double>(plan.n_tokens()));
  }
  return out + memory_text(memory_for(open, plan, options));
}

void add_plan(CLI::App& app) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command =
      app.add_subcommand("plan", "Say what a study will run, need, take and be able to detect");
  flags->study.add_to(*command);
  add_lanes(*command, flags->n_lanes);
  command->add_flag("--json", flags->as_json, "as JSON (docs/file-formats.md)");
  command->callback([flags] { print_plan(*flags); });
}

}  // namespace ebb::app
