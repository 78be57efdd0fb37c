#include "memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "base/error.h"
#include "command.h"

namespace ebb::app {
namespace {

// A thread's stack, and what the allocator maps for it beside the main heap.
constexpr uint64_t kThreadBytes = uint64_t{10} << 20;
// Large blocks that are freed and asked for again do not always fit where they were.
constexpr uint64_t kSlackBytes = uint64_t{40} << 20;

std::optional<uint64_t> number_of(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text < '0' || *text > '9') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// Slurm counts in MiB.
std::optional<uint64_t> slurm_bytes() {
  if (const auto node = number_of("SLURM_MEM_PER_NODE"); node && *node > 0) return *node << 20;
  const auto cpu = number_of("SLURM_MEM_PER_CPU");
  const auto n_cpus = number_of("SLURM_CPUS_ON_NODE");
  if (cpu && n_cpus && *cpu > 0) return (*cpu * *n_cpus) << 20;
  return std::nullopt;
}

[[noreturn]] void refuse(const engine::MemoryPlan& plan, uint64_t others, uint64_t available,
                         std::string_view advice) {
  std::string table;
  for (const engine::MemoryPart& part : plan.parts) {
    if (part.n_bytes > 0)
      table += fmt::format("  {:<24}{:>12}\n", part.name, bytes_text(part.n_bytes));
  }
  uint64_t cells = 0;
  for (const engine::MemoryPart& part : plan.parts) {
    if (part.name == "cells") cells = part.n_bytes;
  }
  const uint64_t needed = plan.total() + others;
  const uint64_t fixed = needed - cells;
  table += fmt::format("  {:<24}{:>12}\n", "threads and slack", bytes_text(others));
  table += fmt::format("  {:<24}{:>12}\n", "needed", bytes_text(needed));
  table += fmt::format("  {:<24}{:>12}\n", "available", bytes_text(available));
  const std::string fits =
      available > fixed
          ? fmt::format(
                "{} of cells would fit, {:.0f} % of them: {}", bytes_text(available - fixed),
                100.0 * static_cast<double>(available - fixed) / static_cast<double>(cells), advice)
          : std::string("not even a run without cells fits: take a smaller model or fewer --rows");
  throw Error::make(ErrorKind::kOutOfMemory, "not enough memory\n{}{}", table, fits);
}

}  // namespace

platform::MemoryStatus usable_memory() {
  platform::MemoryStatus status = platform::memory_status();
  if (const auto slurm = slurm_bytes()) {
    const uint64_t used = platform::resident_bytes();
    status.limit_bytes = std::min(status.limit_bytes, *slurm);
    status.available_bytes = std::min(status.available_bytes, *slurm - std::min(*slurm, used));
  }
  return status;
}

uint64_t thread_and_slack_bytes(const engine::EngineOptions& compute) {
  const int n_threads =
      compute.n_threads > 0 ? compute.n_threads : platform::cpu_info().n_usable_cores;
  return static_cast<uint64_t>(n_threads) * kThreadBytes + kSlackBytes;
}

void check_fits(const engine::MemoryPlan& plan, const engine::EngineOptions& compute,
                std::string_view advice) {
  const uint64_t available = usable_memory().available_bytes;
  if (available == 0 && platform::memory_status().physical_bytes == 0) return;  // unknown system
  const uint64_t others = thread_and_slack_bytes(compute);
  if (plan.total() + others > available) refuse(plan, others, available, advice);
}

void check_fits_for_text(const model::Model& model, const engine::EngineOptions& compute,
                         int64_t n_tokens, const policy::Treatment& treatment) {
  const engine::SequenceNeed need = engine::sequence_need(model.config(), treatment, n_tokens);
  constexpr int64_t kLogitRows = 128;  // ebb logits asks for this many at a time
  const auto n_rows = static_cast<int>(std::min<int64_t>(n_tokens, compute.n_rows_max));
  const auto n_logits = static_cast<int>(std::min(n_tokens, kLogitRows));
  check_fits(engine::plan_memory(model, compute, std::span(&need, 1), n_rows, n_logits), compute,
             "give a shorter text");
}

void check_fits_to_open(const std::filesystem::path& path) {
  std::error_code problem;
  const uint64_t size = std::filesystem::file_size(path, problem);
  if (problem) return;  // whoever opens it says so
  // The vocabulary takes most of what opening takes; where a file is small it is small too. The
  // mapped file needs addresses, not memory, but limits on addresses are common.
  const uint64_t vocabulary = std::min<uint64_t>(size, uint64_t{256} << 20);
  const uint64_t needed = (uint64_t{48} << 20) + vocabulary;
  const uint64_t available = usable_memory().available_bytes;
  if (available == 0 && platform::memory_status().physical_bytes == 0) return;
  if (needed > available) {
    throw Error::make(
        ErrorKind::kOutOfMemory,
        "not enough memory\n  {:<24}{:>12}\n  {:<24}{:>12}\nnothing can be opened with "
        "so little",
        "needed to open the file", bytes_text(needed), "available", bytes_text(available));
  }
}

}  // namespace ebb::app
