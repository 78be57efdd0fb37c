// A whole study beside libllama: wall time of the same conversations, arms and reply lengths, and
// what batching, sharing and kernels each are worth.
#pragma once

#include <filesystem>

#include "bench/contest.h"
#include "bench/speed.h"

namespace ebb::bench {

Section measure_study(const std::filesystem::path& model_path, const Settings& settings);

}  // namespace ebb::bench
