#include "record/instruction_state.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace ebb::record {
namespace {

// The turn whose text holds the instruction.
int turn_given(const ConversationText& conversation, const InstructionText& instruction) {
  for (const TurnText& turn : conversation.turns) {
    if (turn.instruction_id == instruction.id) return turn.turn_id;
  }
  if (instruction.active_from) return *instruction.active_from;
  throw Error::make(ErrorKind::kBadData,
                    "conversation '{}', instruction '{}': found no turn that gives it, expected a "
                    "turn with this instruction_id or an active_from",
                    conversation.id, instruction.id);
}

int first_turn(const ConversationText& conversation, const InstructionText& instruction) {
  return instruction.active_from.value_or(turn_given(conversation, instruction));
}

bool is_overridden(const ConversationText& conversation, const InstructionText& instruction,
                   int turn_id) {
  if (instruction.overridden_by.empty()) return false;
  std::vector<std::string> ids;
  for (const InstructionText& other : conversation.instructions) {
    if (other.id == instruction.overridden_by) return first_turn(conversation, other) <= turn_id;
    ids.push_back(other.id);
  }
  throw Error::make(ErrorKind::kBadData,
                    "conversation '{}', instruction '{}': found overridden_by '{}', expected the "
                    "id of another instruction{}",
                    conversation.id, instruction.id, instruction.overridden_by,
                    did_you_mean(instruction.overridden_by, ids));
}

// What `expects` says about the conversation's first or second instruction.
bool is_expected(const std::string& expects, size_t which) {
  return expects == "both" || expects == (which == 0 ? "first" : "second");
}

void check_expects(const ConversationText& conversation, const TurnText& turn) {
  static const std::vector<std::string> kKnown = {"first", "second", "both", "neither"};
  if (std::find(kKnown.begin(), kKnown.end(), turn.expects) == kKnown.end()) {
    throw Error::make(ErrorKind::kBadData,
                      "conversation '{}', turn {}: found expects '{}', expected first, second, "
                      "both or neither{}",
                      conversation.id, turn.turn_id, turn.expects,
                      did_you_mean(turn.expects, kKnown));
  }
  for (const size_t which : {size_t{0}, size_t{1}}) {
    if (!is_expected(turn.expects, which)) continue;
    if (which >= conversation.instructions.size()) {
      throw Error::make(ErrorKind::kBadData,
                        "conversation '{}', turn {}: expects '{}', but found {} instruction(s), "
                        "expected at least {}",
                        conversation.id, turn.turn_id, turn.expects,
                        conversation.instructions.size(), which + 1);
    }
    const InstructionText& instruction = conversation.instructions[which];
    const int given = turn_given(conversation, instruction);
    if (given > turn.turn_id) {
      throw Error::make(ErrorKind::kBadData,
                        "conversation '{}', turn {}: expects '{}', but instruction '{}' is given "
                        "in turn {}, expected one that is given by then",
                        conversation.id, turn.turn_id, turn.expects, instruction.id, given);
    }
  }
}

}  // namespace

const TurnText& turn_text(const ConversationText& conversation, int turn_id) {
  const auto found = std::find_if(conversation.turns.begin(), conversation.turns.end(),
                                  [&](const TurnText& turn) { return turn.turn_id == turn_id; });
  if (found == conversation.turns.end()) {
    throw Error::make(ErrorKind::kBadData,
                      "conversation '{}': found no turn {}, which a unit has, expected the turns "
                      "that were run",
                      conversation.id, turn_id);
  }
  return *found;
}

std::vector<ScoredItem> items_at(const ConversationText& conversation, int turn_id) {
  const TurnText& turn = turn_text(conversation, turn_id);
  if (!turn.expects.empty()) check_expects(conversation, turn);
  std::vector<ScoredItem> items;
  for (size_t i = 0; i < conversation.instructions.size(); ++i) {
    const InstructionText& instruction = conversation.instructions[i];
    const bool has_begun = first_turn(conversation, instruction) <= turn_id;
    bool is_active = has_begun && turn_id <= instruction.active_until.value_or(turn_id) &&
                     !is_overridden(conversation, instruction, turn_id);
    if (i < 2 && !turn.expects.empty()) is_active = is_expected(turn.expects, i);
    const bool is_given = turn_given(conversation, instruction) <= turn_id;
    if (is_active) {
      items.push_back({&instruction, ItemState::kActive});
    } else if (has_begun && is_given) {
      items.push_back({&instruction, ItemState::kOutdated});
    }
  }
  return items;
}

}  // namespace ebb::record
