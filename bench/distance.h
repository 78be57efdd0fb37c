// How far each engine's predictions are from Hugging Face transformers in float32 on the same
// (dequantised) weights: mean KL over rows of prose that the tests keep as goldens.
#pragma once

#include <filesystem>
#include <optional>

#include "bench/contest.h"
#include "bench/speed.h"

namespace ebb::bench {

// Nothing for a model without goldens.
std::optional<Section> measure_distance(const std::filesystem::path& model_path,
                                        const Settings& settings);

}  // namespace ebb::bench
