#include "experiment/run_shape.h"

#include <algorithm>

#include "base/error.h"

namespace ebb::experiment {

RunShape run_shape(const Study& study, const Conversation& conversation) {
  RunShape out;
  const bool ignores_file = study.history == History::kOwn;
  for (const Exchange& exchange : exchanges_of(conversation)) {
    out.turn_ids.push_back(exchange.turn_id);
    out.is_generated.push_back(ignores_file || !exchange.recorded_reply);
  }
  EBB_CHECK(!out.turn_ids.empty());
  // The last turn is the one that is scored: its reply is always the arm's.
  out.is_generated.back() = true;
  out.n_turns = out.turn_ids.size();
  const Measures& measures = study.measures;
  if (!measures.generate && !measures.fidelity && out.n_turns > 1) --out.n_turns;
  out.generates_before_last =
      std::any_of(out.is_generated.begin(), out.is_generated.end() - 1, [](bool is) { return is; });
  out.has_own_history = study.history != History::kForced && out.generates_before_last;
  return out;
}

bool needs_fidelity(const Study& study, StudyArmKind kind) {
  return study.measures.fidelity &&
         (kind == StudyArmKind::kTreatment || kind == StudyArmKind::kTextRemoval);
}

}  // namespace ebb::experiment
