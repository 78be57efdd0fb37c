// Wilcoxon's signed-rank test (1945) on paired differences, two-sided.
#pragma once

#include <cstddef>
#include <span>

#include "stats/test_result.h"

namespace ebb::stats {

enum class ZeroRule {
  kDrop,   // Wilcoxon: zero differences leave the sample before ranking
  kPratt,  // Pratt (1959): zeros are ranked, then their ranks are dropped
};

enum class WilcoxonMethod {
  kAuto,    // exact up to 50 ranked differences without ties (and, for Pratt, without zeros)
  kExact,   // conditional on the ranks as they are, so also right with ties; at most 200
  kNormal,  // tie-corrected normal approximation
};

struct WilcoxonOptions {
  ZeroRule zeros = ZeroRule::kDrop;
  WilcoxonMethod method = WilcoxonMethod::kAuto;
  double continuity = 0;  // 0.5 for the continuity correction of the normal approximation, else 0
};

// statistic: the smaller of the sums of positive and of negative ranks.
// Throws: kInternal for no difference or NaN; kUsage for kExact with more than 200 nonzero ones, or
// a continuity correction other than 0 and 0.5.
TestResult wilcoxon_signed_rank(std::span<const double> differences,
                                const WilcoxonOptions& options = {});

}  // namespace ebb::stats
