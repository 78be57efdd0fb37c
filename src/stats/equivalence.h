// Two one-sided tests (Schuirmann 1987): is the mean difference inside a margin fixed beforehand?
// "Not significant" never means "equivalent"; this is what may say so.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "stats/bootstrap.h"
#include "stats/checks.h"

namespace ebb::stats {

struct Equivalence {
  double mean = 0;
  Interval margin = {};
  double alpha = 0.05;
  std::optional<Interval> interval = {};  // at confidence 1 - 2 alpha
  std::optional<double> p_lower = {};     // against "the mean is at or below margin.low"
  std::optional<double> p_upper = {};     // against "the mean is at or above margin.high"
  std::optional<double> p = {};  // the larger one; absent for the bootstrap and without spread
  bool is_equivalent = false;    // the interval lies inside the margin
  bool is_identical = false;     // all differences are zero: equivalent, but nothing was tested
  std::string method = {};
  std::string note = {};
};

// By paired t.  Requires: margin.low < 0 < margin.high is usual, low < high is enforced.
// Throws: kInternal for no difference or NaN; kUsage for an empty margin, or alpha outside (0,
// 0.5).
Equivalence tost_t(std::span<const double> differences, Interval margin, double alpha = 0.05);

// By the bootstrap interval of the mean at 1 - 2 alpha (options.confidence is replaced).
Equivalence tost_bootstrap(std::span<const double> differences, Interval margin, double alpha,
                           BootstrapOptions options);

}  // namespace ebb::stats
