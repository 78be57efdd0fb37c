#include "eval/scored_items.h"

namespace ebb::eval {

std::vector<ScoredTurn> scored_turns(const record::ConversationText& conversation,
                                     const record::UnitRecord& unit) {
  std::vector<ScoredTurn> scored;
  for (const record::UnitTurn& turn : unit.turns) {
    const record::TurnText& text = record::turn_text(conversation, turn.turn_id);
    const bool is_last = &turn == &unit.turns.back();
    if (turn.is_recorded || (text.expects.empty() && !is_last)) continue;
    scored.push_back({&turn, &text, items_at(conversation, turn.turn_id)});
  }
  return scored;
}

}  // namespace ebb::eval
