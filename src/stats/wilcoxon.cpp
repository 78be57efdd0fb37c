#include "stats/wilcoxon.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "stats/checks.h"
#include "stats/distributions.h"
#include "stats/ranks.h"

namespace ebb::stats {
namespace {

constexpr const char* kWhere = "Wilcoxon signed-rank test";
constexpr size_t kAutoExactMax = 50;
constexpr size_t kExactMax = 200;

struct SignedRanks {
  std::vector<double> nonzero = {};  // ranks of the nonzero differences
  double positive = 0;
  double negative = 0;
  size_t n_ranked = 0;   // zeros included for Pratt
  size_t n_zero = 0;     // zeros that were ranked
  double tie_cubes = 0;  // without the zeros
  bool has_ties = false;
};

SignedRanks signed_ranks(std::span<const double> differences, ZeroRule zeros) {
  std::vector<double> kept;
  for (const double d : differences) {
    if (d != 0 || zeros == ZeroRule::kPratt) kept.push_back(d);
  }
  std::vector<double> sizes(kept.size());
  std::transform(kept.begin(), kept.end(), sizes.begin(), [](double d) { return std::abs(d); });
  const Ranks ranks = average_ranks(sizes);
  SignedRanks out{.n_ranked = kept.size(), .tie_cubes = ranks.tie_cubes};
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] == 0) {
      ++out.n_zero;
      continue;
    }
    out.nonzero.push_back(ranks.of[i]);
    (kept[i] > 0 ? out.positive : out.negative) += ranks.of[i];
  }
  const double n_zero = real(out.n_zero);
  out.tie_cubes -= n_zero * n_zero * n_zero - n_zero;
  out.has_ties = out.tie_cubes > 0;
  return out;
}

// 2 P(W <= smaller sum), from the distribution of the sum of positive ranks over all signs. Ranks
// are doubled, so that shared (half) ranks are integers.
double exact_p(const SignedRanks& ranks) {
  size_t total = 0;
  std::vector<size_t> doubled;
  for (const double rank : ranks.nonzero) {
    doubled.push_back(static_cast<size_t>(std::llround(2 * rank)));
    total += doubled.back();
  }
  std::vector<double> share(total + 1, 0.0);
  share[0] = 1;
  size_t reached = 0;
  for (const size_t rank : doubled) {
    reached += rank;
    for (size_t sum = reached + 1; sum-- > 0;) {
      share[sum] = 0.5 * (share[sum] + (sum >= rank ? share[sum - rank] : 0.0));
    }
  }
  const auto smaller =
      static_cast<size_t>(std::llround(2 * std::min(ranks.positive, ranks.negative)));
  double p = 0;
  for (size_t sum = 0; sum <= smaller; ++sum) p += share[sum];
  return std::min(1.0, 2 * p);
}

double normal_p(const SignedRanks& ranks, double continuity) {
  const double n = real(ranks.n_ranked);
  const double zeros = real(ranks.n_zero);
  const double mean = (n * (n + 1) - zeros * (zeros + 1)) / 4;
  const double variance =
      (n * (n + 1) * (2 * n + 1) - zeros * (zeros + 1) * (2 * zeros + 1) - ranks.tie_cubes / 2) /
      24;
  const double distance = mean - std::min(ranks.positive, ranks.negative);
  const double corrected = distance > 0 ? distance - continuity : distance;
  return std::min(1.0, 2 * normal_upper(corrected / std::sqrt(variance)));
}

bool wants_exact(const SignedRanks& ranks, WilcoxonMethod method) {
  if (method == WilcoxonMethod::kNormal) return false;
  if (method == WilcoxonMethod::kAuto) {
    return ranks.n_ranked <= kAutoExactMax && !ranks.has_ties && ranks.n_zero == 0;
  }
  if (ranks.nonzero.size() <= kExactMax) return true;
  throw Error::make(ErrorKind::kUsage,
                    "{}: found {} nonzero differences, expected at most {} for the "
                    "exact distribution",
                    kWhere, ranks.nonzero.size(), kExactMax);
}

}  // namespace

TestResult wilcoxon_signed_rank(std::span<const double> differences,
                                const WilcoxonOptions& options) {
  require_at_least(differences.size(), 1, kWhere);
  require_finite(differences, kWhere);
  if (options.continuity != 0 && options.continuity != 0.5) {
    throw Error::make(ErrorKind::kUsage, "{}: found continuity = {}, expected 0 or 0.5", kWhere,
                      options.continuity);
  }
  const bool is_pratt = options.zeros == ZeroRule::kPratt;
  std::string method =
      is_pratt ? "Wilcoxon signed-rank, zeros by Pratt" : "Wilcoxon signed-rank, zeros dropped";
  const SignedRanks ranks = signed_ranks(differences, options.zeros);
  if (ranks.nonzero.empty()) return identical_result(method, differences.size());
  TestResult out{.statistic = std::min(ranks.positive, ranks.negative),
                 .n_pairs = differences.size(),
                 .n_nonzero = ranks.nonzero.size()};
  if (wants_exact(ranks, options.method)) {
    out.p = exact_p(ranks);
    out.method = method + ", exact";
  } else {
    out.p = normal_p(ranks, options.continuity);
    out.method =
        method + (options.continuity > 0 ? ", normal with continuity correction" : ", normal");
  }
  return out;
}

}  // namespace ebb::stats
