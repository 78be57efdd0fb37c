#include "experiment/conversation_record.h"

namespace ebb::experiment {
namespace {

std::string speaker_name(Speaker speaker) {
  switch (speaker) {
    case Speaker::kSystem:
      return "system";
    case Speaker::kUser:
      return "user";
    case Speaker::kAssistant:
      return "assistant";
  }
  return "";
}

record::InstructionText instruction_record(const Instruction& instruction) {
  return {.id = instruction.id,
          .text = instruction.text,
          .rules = instruction.rules,
          .active_from = instruction.active_from,
          .active_until = instruction.active_until,
          .overridden_by = instruction.overridden_by};
}

}  // namespace

record::ConversationText to_record(const Conversation& conversation) {
  record::ConversationText out;
  out.id = conversation.id;
  out.conflict_type = conversation.conflict_type;
  out.domain = conversation.domain;
  for (const ConversationTurn& turn : conversation.turns) {
    if (turn.instruction) out.instructions.push_back(instruction_record(*turn.instruction));
    out.turns.push_back({.turn_id = turn.turn_id,
                         .speaker = speaker_name(turn.speaker),
                         .instruction_id = turn.instruction ? turn.instruction->id : "",
                         .content = turn.content,
                         .query = turn.query,
                         .expected_behavior = turn.expected_behavior,
                         .expects = turn.expects});
  }
  return out;
}

}  // namespace ebb::experiment
