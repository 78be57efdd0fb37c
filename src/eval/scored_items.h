// Which instructions count in which reply: the items that rules and judge give verdicts on. Judges
// nothing itself. docs/methods.md says the same in prose.
#pragma once

#include <vector>

#include "record/study_records.h"

namespace ebb::eval {

enum class ItemState {
  kActive,    // the reply should obey it
  kOutdated,  // given before or in this turn, begun, and no longer to be obeyed
};

struct ScoredItem {
  const record::InstructionText* instruction = nullptr;
  ItemState state = ItemState::kActive;
};

// A reply that is scored, with its items in the order of the conversation's instructions.  Borrows
// from the conversation and the unit.
struct ScoredTurn {
  const record::UnitTurn* turn = nullptr;
  const record::TurnText* text = nullptr;
  std::vector<ScoredItem> items;
};

// The instructions that have begun by this turn. One is active from `active_from` (default: the
// turn that gives it) up to `active_until`, but no longer once the instruction that overrides it
// has begun; an override is for good.  Where the turn states `expects`, this wins for the
// conversation's first two instructions, whatever their ranges say.
// Throws: kBadData for an instruction that no turn gives, an override by an unknown one, and an
// `expects` that names an instruction which is missing or not yet given.
std::vector<ScoredItem> items_at(const record::ConversationText& conversation, int turn_id);

// The turns of a unit whose reply was generated and which state `expects` or are the unit's last.
// Throws: kBadData, as items_at, and for a turn that the conversation does not have.
std::vector<ScoredTurn> scored_turns(const record::ConversationText& conversation,
                                     const record::UnitRecord& unit);

}  // namespace ebb::eval
