// The recall probe: on a fork, the user asks for the instruction again, and its own text is
// teacher-forced as the reply. How likely it is says what the cache still knows of it.
#pragma once

#include <vector>

#include "engine/session.h"
#include "experiment/conversation.h"
#include "policy/treatment.h"
#include "record/study_records.h"

namespace ebb::experiment {

// What the user asks.
inline constexpr const char* kRecallQuestion =
    "Repeat, word for word, the instruction about your answers that I gave you earlier.";

// One probe an instruction; `kept_share` is left to the caller. The session is not changed.
// reminders: said before the question.
// Requires: an idle session.
std::vector<record::RecallProbe> probe_recall(engine::Engine& engine,
                                              const engine::Session& session,
                                              const std::vector<const Instruction*>& instructions,
                                              const std::vector<model::Piece>& reminders = {});

// The ordinals that a `streaming` treatment keeps of the first `next` tokens at the end of `turn`.
std::vector<Ordinal> streaming_survivors(const policy::Treatment& treatment, Ordinal next,
                                         int turn);

}  // namespace ebb::experiment
