// Survival of instructions against what is left of obeying and recalling them. The random arms are
// the experiment: chance decides what a seed keeps; other policies are only placed beside it.
#pragma once

#include <vector>

#include "report/analysis.h"

namespace ebb::report {

// One curve an outcome, in a fixed order, empty ones with their reason. Each unit is one point, the
// mean over its instructions: older instructions have both fewer cells and another level, and would
// pass for a dose if they were points of their own. Query-visible arms are left out: what they
// evict within a turn is not in the shares after the turn before, and they have another task.
std::vector<DoseCurve> dose_curves(const StudyData& data, const AnalyseOptions& options);

// Each arm's cells kept against the endpoint.  Empty where no baseline ran.
std::vector<ForgettingPoint> forgetting_points(const std::vector<ArmFacts>& arms,
                                               const std::vector<stats::ArmRow>& rows);

// KL to the baseline by turns since the first loss, arms in the study's order.
std::vector<LossPoint> loss_points(const StudyData& data, const stats::CompareOptions& options);

}  // namespace ebb::report
