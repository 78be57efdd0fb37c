// The machine that a benchmark ran on, in words, and what it can do at most.
#pragma once

#include <string>
#include <vector>

#include "bench/peak.h"

namespace ebb::bench {

struct Machine {
  std::string processor;
  std::vector<std::string> vector_features;  // those that kernels choose by
  int n_threads = 1;
  double physical_gib = 0.0;
  double read_bytes_per_second = 0.0;
  ProductPeak products;

  std::string text() const;
};

// Cost: a second or two, for the limits.
Machine describe_machine(int n_threads);

}  // namespace ebb::bench
