// A model too large for two engines at once, beside libllama: each runs in a process of its own, in
// turns. Meant for a file with the shape of Gemma 3 12B and random weights (ebb-make-gemma12b).
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/contest.h"
#include "bench/speed.h"

namespace ebb::bench {

std::vector<Section> measure_shape(const std::filesystem::path& model_path,
                                   const Settings& settings);

// One engine in this process: "strict", "fast", "off" and "on" (libllama's flash attention), or
// "memory" (fast, four sequences of 2048 tokens).
nlohmann::json shape_alone(const std::string& who, const std::filesystem::path& model_path,
                           const Settings& settings);

}  // namespace ebb::bench
