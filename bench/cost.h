// What ebb's own work costs beside the model's: policies, the statistics they need, forks, and a
// cache held at a hard cap.
#pragma once

#include <filesystem>
#include <vector>

#include "bench/contest.h"
#include "bench/speed.h"

namespace ebb::bench {

// Strict numerics, the default of studies.
std::vector<Section> measure_costs(const std::filesystem::path& model_path,
                                   const Settings& settings);

}  // namespace ebb::bench
