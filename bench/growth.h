// How the time and the memory of a study grow with its conversations.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "bench/contest.h"
#include "bench/speed.h"

namespace ebb::bench {

std::vector<Section> measure_growth(const std::filesystem::path& model_path,
                                    const Settings& settings);

// One size in this process: seconds, and the peak of resident memory.
nlohmann::json grow_alone(int n_families, const std::filesystem::path& model_path,
                          const Settings& settings);

}  // namespace ebb::bench
