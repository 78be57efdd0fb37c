// Measurements that need a process of their own: peaks of memory, and models that two engines
// cannot hold at once. ebb-bench starts itself for each.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/speed.h"

namespace ebb::bench {

// Does one task here, in the child; the result is printed as one line.
// Throws: kUsage for a task that is not one of growth, protocol and shape.
nlohmann::json run_task(const std::string& task, const std::filesystem::path& model_path,
                        const Settings& settings);

// Starts a child for it and waits.  Throws: kBackend with the end of what it said.
nlohmann::json run_alone(const std::string& task, const std::filesystem::path& model_path,
                         const Settings& settings);

}  // namespace ebb::bench
