// Which instructions a reply should obey, and which are outdated: decided here once, for the arms
// that are told again, for rules, judges and probes. docs/methods.md says the same in prose.
#pragma once

#include <vector>

#include "record/study_records.h"

namespace ebb::record {

enum class ItemState {
  kActive,    // the reply should obey it
  kOutdated,  // given before or in this turn, begun, and no longer to be obeyed
};

struct ScoredItem {
  const InstructionText* instruction = nullptr;
  ItemState state = ItemState::kActive;
};

// Throws: kBadData for a turn that the conversation does not have.
const TurnText& turn_text(const ConversationText& conversation, int turn_id);

// The instructions that have begun by this turn. One is active from `active_from` (default: the
// turn that gives it) up to `active_until`, but no longer once the instruction that overrides it
// has begun; an override is for good.  Where the turn states `expects`, this wins for the
// conversation's first two instructions, whatever their ranges say.
// Throws: kBadData for an instruction that no turn gives, an override by an unknown one, and an
// `expects` that names an instruction which is missing or not yet given.
std::vector<ScoredItem> items_at(const ConversationText& conversation, int turn_id);

}  // namespace ebb::record
