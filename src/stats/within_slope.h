// Slope of y on x inside conversations: every conversation keeps its own level, so that easy and
// hard conversations cannot pass for a dose. Linear (also for 0/1 outcomes: change in probability)
// and conditional logistic (odds).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "stats/checks.h"

namespace ebb::stats {

struct WithinSlope {
  size_t n_points = 0;
  size_t n_clusters = 0;
  size_t n_informative = 0;  // clusters that can say anything about the slope
  std::optional<double> slope = {};
  std::optional<double> standard_error = {};
  double df = 0;  // of the t interval; 0 means normal
  std::optional<double> p = {};
  std::optional<Interval> interval = {};
  std::string method = {};
  std::string note = {};  // why something is absent
};

// Least squares after taking each cluster's means out. Standard error: cluster-robust CR2 with
// Satterthwaite degrees of freedom (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018), which
// holds with few conversations, where CR0 and CR1 are too small.
// Requires: `cluster` names each point's conversation by any number.
WithinSlope within_slope(std::span<const double> x, std::span<const double> y,
                         std::span<const uint32_t> cluster, double confidence = 0.95);

// Conditional logistic regression (Breslow and Day 1980), y of 0 and 1: log odds per unit of x,
// given each cluster's number of successes; clusters with only successes or only failures say
// nothing. Standard error from the information matrix, normal interval. A slope that grows without
// bound (x separates the outcomes) is absent, with a note.
WithinSlope conditional_logit(std::span<const double> x, std::span<const double> y,
                              std::span<const uint32_t> cluster, double confidence = 0.95);

}  // namespace ebb::stats
