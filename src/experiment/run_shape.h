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
  bool generates_before_last = false;
  bool has_own_history = false;  // what is generated before the last turn is each arm's own
};

RunShape run_shape(const Study& study, const Conversation& conversation);

// Whether an arm of this kind is compared with the baseline token by token.
bool needs_fidelity(const Study& study, StudyArmKind kind);

}  // namespace ebb::experiment
