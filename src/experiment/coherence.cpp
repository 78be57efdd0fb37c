#include "experiment/coherence.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace ebb::experiment {

double repeated_ngram_share(std::span<const int32_t> ids, size_t n) {
  EBB_CHECK(n > 0);
  if (ids.size() < n) return 0.0;
  std::vector<std::span<const int32_t>> grams;
  for (size_t i = 0; i + n <= ids.size(); ++i) grams.push_back(ids.subspan(i, n));
  const auto is_before = [](const auto& a, const auto& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  std::sort(grams.begin(), grams.end(), is_before);
  size_t n_repeats = 0;
  for (size_t i = 1; i < grams.size(); ++i) {
    if (std::equal(grams[i].begin(), grams[i].end(), grams[i - 1].begin())) ++n_repeats;
  }
  return static_cast<double>(n_repeats) / static_cast<double>(grams.size());
}

std::optional<double> perplexity(std::span<const double> negative_log_likelihoods) {
  if (negative_log_likelihoods.empty()) return std::nullopt;
  double sum = 0.0;
  for (const double nll : negative_log_likelihoods) sum += nll;
  return std::exp(sum / static_cast<double>(negative_log_likelihoods.size()));
}

}  // namespace ebb::experiment
