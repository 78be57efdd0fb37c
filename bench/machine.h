// The machine that a benchmark ran on, in words, and how fast it reads memory.
#pragma once

#include <string>
#include <vector>

namespace ebb::bench {

struct Machine {
  std::string processor;
  std::vector<std::string> vector_features;  // those that kernels choose by
  int n_threads = 1;
  double physical_gib = 0.0;
  double read_bytes_per_second = 0.0;

  std::string text() const;
};

// Cost: half a second, for the read speed.
Machine describe_machine(int n_threads);

}  // namespace ebb::bench
