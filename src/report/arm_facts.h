// What was kept, what it weighed and how the replies ended: facts about arms, not scores.
#pragma once

#include <vector>

#include "report/analysis.h"

namespace ebb::report {

// One for each arm of the study, in its order.
std::vector<ArmFacts> arm_facts(const StudyData& data);

}  // namespace ebb::report
