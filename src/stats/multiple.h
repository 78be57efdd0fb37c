// Corrections for testing several hypotheses at once. The family is fixed before the run; a test
// without a p value (identical arms) still counts in its size, as if its p were 1.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ebb::stats {

enum class Correction {
  kNone,
  kHolm,               // family-wise error rate, any dependence (Holm 1979)
  kBenjaminiHochberg,  // false discovery rate, independent or positively dependent (1995)
};

std::string_view correction_name(Correction correction);

// Adjusted p values in the order given; absent stays absent.
// Throws: kInternal for a p outside [0, 1].
std::vector<std::optional<double>> adjusted_p(std::span<const std::optional<double>> p,
                                              Correction correction);

}  // namespace ebb::stats
