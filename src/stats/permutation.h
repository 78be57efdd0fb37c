// Paired permutation test: under the null hypothesis each difference could as well have had the
// other sign (Fisher 1935; Pitman 1937). The statistic is the sum of the differences, two-sided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "stats/test_result.h"

namespace ebb::stats {

struct PermutationOptions {
  size_t n_exact_max = 30;  // up to so many nonzero differences all 2^n signs are counted; <= 40
  size_t n_draws = 99'999;  // of the Monte Carlo test above that
  uint64_t seed = 0;
  uint64_t stream = 0;  // keeps contrasts apart: a key made from the contrast's name
};

// Zero differences cannot change sign and change no sum: they stay out of the count, without any
// influence on p. Ties between a permuted and the observed sum (within 1e-12 of the sum of absolute
// differences) count as "at least as extreme". Monte Carlo: p = (b + 1) / (m + 1) (Davison and
// Hinkley 1997), which never is 0.
// Requires: one difference per conversation.  Throws: kInternal for none or NaN; kUsage for
// options. Cost: 2^(n/2) log for the exact test, n_draws * n otherwise.
TestResult paired_permutation(std::span<const double> differences,
                              const PermutationOptions& options = {});

}  // namespace ebb::stats
