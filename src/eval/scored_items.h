// The replies of a unit that are scored, with the items that rules and judge give verdicts on.
// Judges nothing itself.
#pragma once

#include <vector>

#include "record/instruction_state.h"

namespace ebb::eval {

using record::items_at;
using record::ItemState;
using record::ScoredItem;

// A reply that is scored, with its items in the order of the conversation's instructions.  Borrows
// from the conversation and the unit.
struct ScoredTurn {
  const record::UnitTurn* turn = nullptr;
  const record::TurnText* text = nullptr;
  std::vector<ScoredItem> items;
};

// The turns of a unit whose reply was generated and which state `expects` or are the unit's last.
// Throws: kBadData, as items_at, and for a turn that the conversation does not have.
std::vector<ScoredTurn> scored_turns(const record::ConversationText& conversation,
                                     const record::UnitRecord& unit);

}  // namespace ebb::eval
