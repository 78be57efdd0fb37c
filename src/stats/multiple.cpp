#include "stats/multiple.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "base/error.h"
#include "stats/checks.h"

namespace ebb::stats {
namespace {

// Holm: the running maximum of (m - i) p_(i), smallest first.
void step_down(std::span<const size_t> order, std::vector<double>& p) {
  double floor = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    floor = std::max(floor, std::min(1.0, real(order.size() - i) * p[order[i]]));
    p[order[i]] = floor;
  }
}

// Benjamini-Hochberg: the running minimum of m / i p_(i), largest first.
void step_up(std::span<const size_t> order, std::vector<double>& p) {
  double ceiling = 1;
  for (size_t i = order.size(); i-- > 0;) {
    ceiling = std::min(ceiling, real(order.size()) / real(i + 1) * p[order[i]]);
    p[order[i]] = ceiling;
  }
}

}  // namespace

std::string_view correction_name(Correction correction) {
  switch (correction) {
    case Correction::kNone:
      return "none";
    case Correction::kHolm:
      return "Holm";
    case Correction::kBenjaminiHochberg:
      return "Benjamini-Hochberg";
  }
  return "";
}

std::vector<std::optional<double>> adjusted_p(std::span<const std::optional<double>> p,
                                              Correction correction) {
  std::vector<double> values;
  for (const std::optional<double>& one : p) {
    values.push_back(one.value_or(1.0));
    if (values.back() >= 0 && values.back() <= 1) continue;
    throw Error::make(ErrorKind::kInternal, "multiple comparisons: found p = {}, expected 0 to 1",
                      values.back());
  }
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  if (correction == Correction::kHolm) step_down(order, values);
  if (correction == Correction::kBenjaminiHochberg) step_up(order, values);
  std::vector<std::optional<double>> out(p.begin(), p.end());
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i]) out[i] = values[i];
  }
  return out;
}

}  // namespace ebb::stats
