// The validation protocol (three arms, three turns, 100 new tokens) on ebb alone, for programs that
// run the same tokens on another engine: hf.py does it with transformers.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/speed.h"

namespace ebb::bench {

// `numerics`: strict or fast. Reply tokens a second for two conversations and for twenty (four of
// shorter replies in a quick run), tokens a second of a prompt of 512, and the work's tokens.
nlohmann::json protocol_alone(const std::string& numerics, const std::filesystem::path& model_path,
                              const Settings& settings);

}  // namespace ebb::bench
