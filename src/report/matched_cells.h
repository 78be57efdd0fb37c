// Contrasts whose arms were to hold equally much, and do not.
#pragma once

#include <string>
#include <vector>

#include "report/study_data.h"

namespace ebb::report {

// Differences in cells up to this share are rounding: whole cells of whole heads.
inline constexpr double kCellsTolerance = 0.01;

// Whether a contrast of the two is about something else than how much they keep: both evict, and
// where both have a budget it is the same one. Arms with a size of their own (a policy's
// parameters) are meant to match unless they are one policy with other parameters.
bool are_meant_to_match(const record::ArmInfo& first, const record::ArmInfo& second);

// One sentence a contrast of such arms that differ by more than the tolerance: means of cells over
// all layers and heads that the last reply was made from, over conversations that both have.
std::vector<std::string> unmatched_contrasts(const StudyData& data);

}  // namespace ebb::report
