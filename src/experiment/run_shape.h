// What of a conversation a study runs: the same for every arm of a family, and for the plan made
// before anything runs.
#pragma once

#include <vector>

#include "experiment/study.h"

namespace ebb::experiment {

struct RunShape {
  std::vector<int> turn_ids;       // of all exchanges
  std::vector<bool> is_generated;  // [all exchanges] the reply is not taken from the file
  size_t n_turns = 0;              // exchanges that are run: all, or all but the last
  bool has_own_history = false;    // a turn before the last is answered by each arm itself
};

RunShape run_shape(const Study& study, const Conversation& conversation);

// Whether an arm of this kind is compared with the baseline token by token.
bool needs_fidelity(const Study& study, StudyArmKind kind);

}  // namespace ebb::experiment
