// Is a reply still text, or gibberish? Two numbers that need no judge. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ebb::experiment {

// The share of n-grams that stood before in the same reply: (all - different) / all.  0 where the
// reply is shorter than n.
double repeated_ngram_share(std::span<const int32_t> ids, size_t n);

// exp(mean negative log-likelihood).  Units: natural logarithms.  Nothing for an empty span;
// infinite or NaN inputs give such a result.
std::optional<double> perplexity(std::span<const double> negative_log_likelihoods);

}  // namespace ebb::experiment
