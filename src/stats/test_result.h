// What every paired test returns. A p value is absent where it would mean nothing: two arms that
// never differ have not been tested, they are identical by construction.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace ebb::stats {

inline constexpr const char* kIdenticalNote = "identical by construction";

struct TestResult {
  std::string method = {};  // with everything that changed the number: "..., exact", draws, zeros
  double statistic = 0;
  std::optional<double> p = {};  // two-sided
  size_t n_pairs = 0;
  size_t n_nonzero = 0;  // pairs that differ
  bool is_identical = false;
  std::string note = {};  // why p is absent, or what to keep in mind
};

// The result of any test on differences that are all zero.
TestResult identical_result(std::string method, size_t n_pairs);

size_t count_nonzero(std::span<const double> differences);

}  // namespace ebb::stats
