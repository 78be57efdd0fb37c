// Student's t test on paired differences.
#pragma once

#include <optional>
#include <span>

#include "stats/checks.h"
#include "stats/test_result.h"

namespace ebb::stats {

struct PairedT {
  TestResult test = {};  // statistic: t
  double df = 0;         // n - 1
  double mean = 0;
  double standard_error = 0;
  std::optional<Interval> interval = {};  // of the mean difference
};

// All zero: identical, no p. All equal but not zero, or a single pair: no p either (there is no
// spread to compare with), and the note says so; the permutation test still has an answer there.
PairedT paired_t(std::span<const double> differences, double confidence = 0.95);

}  // namespace ebb::stats
