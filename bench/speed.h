// Tokens a second beside libllama: prompts, one sequence, and many sequences that share a prompt.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bench/contest.h"

namespace ebb::bench {

struct Settings {
  int n_threads = 1;
  int n_rounds = 5;
  bool is_quick = false;
  double read_bytes_per_second = 0.0;  // of this machine, for the limit of decoding
  double products_per_second = 0.0;    // for the limit of prompts
  std::string program = {};            // this one, for what needs a process of its own
  // Told what is being measured, for a person who waits.
  std::function<void(const std::string&)> on_progress = [](const std::string&) {};
};

// Token ids that mean nothing: speed does not depend on them.
std::vector<int32_t> made_up_ids(size_t n, int n_vocab);

Section measure_speed(const std::filesystem::path& model_path, const Settings& settings);

}  // namespace ebb::bench
