#include "experiment/conversation_record.h"

#include <algorithm>

#include "base/error.h"

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

Speaker speaker_of(const std::string& name) {
  for (const Speaker speaker : {Speaker::kSystem, Speaker::kUser, Speaker::kAssistant}) {
    if (name == speaker_name(speaker)) return speaker;
  }
  throw Error::make(ErrorKind::kBadData,
                    "a stored turn is of '{}', expected system, user or assistant", name);
}

std::optional<Instruction> instruction_of(const record::ConversationText& text,
                                          const std::string& id) {
  if (id.empty()) return std::nullopt;
  const auto found = std::find_if(text.instructions.begin(), text.instructions.end(),
                                  [&](const auto& one) { return one.id == id; });
  if (found == text.instructions.end()) {
    throw Error::make(ErrorKind::kBadData,
                      "conversation '{}' names an instruction '{}' that it does not have", text.id,
                      id);
  }
  return Instruction{.id = found->id,
                     .text = found->text,
                     .rules = found->rules,
                     .active_from = found->active_from,
                     .active_until = found->active_until,
                     .overridden_by = found->overridden_by};
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

Conversation from_record(const record::ConversationText& text) {
  Conversation out;
  out.id = text.id;
  out.conflict_type = text.conflict_type;
  out.domain = text.domain;
  for (const record::TurnText& turn : text.turns) {
    out.turns.push_back({.turn_id = turn.turn_id,
                         .speaker = speaker_of(turn.speaker),
                         .instruction = instruction_of(text, turn.instruction_id),
                         .content = turn.content,
                         .query = turn.query,
                         .expected_behavior = turn.expected_behavior,
                         .expects = turn.expects});
  }
  return out;
}

}  // namespace ebb::experiment
