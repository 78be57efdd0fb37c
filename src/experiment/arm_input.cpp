#include "experiment/arm_input.h"

#include <algorithm>

namespace ebb::experiment {
namespace {

bool is_active(const Instruction& instruction, int given_in, const ConversationTurn& turn,
               const std::vector<const Instruction*>& all) {
  const int from = instruction.active_from.value_or(given_in);
  if (turn.turn_id < from) return false;
  if (instruction.active_until && turn.turn_id > *instruction.active_until) return false;
  return std::none_of(all.begin(), all.end(), [&](const Instruction* other) {
    return !instruction.overridden_by.empty() && other->id == instruction.overridden_by &&
           other->active_from.value_or(turn.turn_id) <= turn.turn_id;
  });
}

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
  const std::vector<const Instruction*> all = all_instructions(conversation);
  if (turn.expects == "both") return all;
  if (turn.expects == "neither") return {};
  if (turn.expects == "first" && !all.empty()) return {all.front()};
  if (turn.expects == "second" && all.size() >= 2) return {all[1]};
  std::vector<const Instruction*> out;
  for (const ConversationTurn& given : conversation.turns) {
    if (given.turn_id > turn.turn_id || !given.instruction) continue;
    if (is_active(*given.instruction, given.turn_id, turn, all)) out.push_back(&*given.instruction);
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
