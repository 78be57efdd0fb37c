#include "stats/test_result.h"

#include <utility>

namespace ebb::stats {

TestResult identical_result(std::string method, size_t n_pairs) {
  return {.method = std::move(method),
          .n_pairs = n_pairs,
          .is_identical = true,
          .note = kIdenticalNote};
}

size_t count_nonzero(std::span<const double> differences) {
  size_t count = 0;
  for (const double difference : differences) count += difference != 0 ? 1 : 0;
  return count;
}

}  // namespace ebb::stats
