#include "experiment/arm_input.h"

#include <algorithm>

#include "experiment/conversation_record.h"
#include "record/instruction_state.h"

namespace ebb::experiment {
namespace {

model::Piece reminder_of(const Instruction& instruction) {
  return {"Remember: " + instruction.text, Role::kInstruction, instruction.id + "#reminder"};
}

void drop_instructions(std::vector<model::Piece>& pieces) {
  std::erase_if(pieces, [](const model::Piece& p) { return p.role == Role::kInstruction; });
}

}  // namespace

std::vector<const Instruction*> all_instructions(const Conversation& conversation) {
  std::vector<const Instruction*> out;
  for (const ConversationTurn& turn : conversation.turns) {
    if (turn.instruction) out.push_back(&*turn.instruction);
  }
  return out;
}

std::vector<const Instruction*> wanted_instructions(const Conversation& conversation,
                                                    const ConversationTurn& turn) {
  const record::ConversationText text = to_record(conversation);
  std::vector<const Instruction*> out;
  for (const record::ScoredItem& item : record::items_at(text, turn.turn_id)) {
    if (item.state != record::ItemState::kActive) continue;
    for (const Instruction* instruction : all_instructions(conversation)) {
      if (instruction->id == item.instruction->id) out.push_back(instruction);
    }
  }
  return out;
}

std::vector<Exchange> exchanges_for(const Conversation& conversation, StudyArmKind kind) {
  std::vector<Exchange> out = exchanges_of(conversation);
  if (kind == StudyArmKind::kNoInstruction) {
    for (Exchange& exchange : out) {
      drop_instructions(exchange.input.parts);
      drop_instructions(exchange.input.system);
      if (exchange.input.parts.empty()) {
        exchange.input.parts.push_back({"Let us go on.", Role::kContent, ""});
      }
    }
  }
  if (kind == StudyArmKind::kReminder && !out.empty()) {
    Exchange& last = out.back();
    auto at = last.input.parts.begin();
    for (const Instruction* instruction : wanted_instructions(conversation, *last.turn)) {
      at = last.input.parts.insert(at, reminder_of(*instruction)) + 1;
    }
  }
  return out;
}

}  // namespace ebb::experiment
