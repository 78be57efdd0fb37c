// Whether a run fits, told before it begins. Slurm's limits are read here, as the environment may
// be read in this folder only.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/platform.h"
#include "engine/memory_plan.h"
#include "policy/treatment.h"

namespace ebb::app {

// The machine's and the process's limits and those of a Slurm job.
platform::MemoryStatus usable_memory();

// Beside what a plan counts: stacks of threads and what allocators leave unused.
uint64_t thread_and_slack_bytes(const engine::EngineOptions& compute);

// Throws: kOutOfMemory with a table of what is needed, what is there and what would fit; `advice`
// says what a person can change.
void check_fits(const engine::MemoryPlan& plan, const engine::EngineOptions& compute,
                std::string_view advice);
// The same for one sequence that reads a text.
void check_fits_for_text(const model::Model& model, const engine::EngineOptions& compute,
                         int64_t n_tokens, const policy::Treatment& treatment);
// For reading the file and its vocabulary at all.
void check_fits_to_open(const std::filesystem::path& path);

}  // namespace ebb::app
