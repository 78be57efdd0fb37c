#include "experiment/conversation_json.h"

#include <nlohmann/json.hpp>

namespace ebb::experiment {
namespace {

using nlohmann::ordered_json;

const char* role_name(Speaker speaker) {
  if (speaker == Speaker::kSystem) return "system";
  return speaker == Speaker::kUser ? "user" : "assistant";
}

void put(ordered_json& out, const char* field, const std::string& text) {
  if (!text.empty()) out[field] = text;
}

ordered_json json_of(const Instruction& instruction) {
  ordered_json out = {{"id", instruction.id}, {"text", instruction.text}};
  out["rules"] = ordered_json::array();
  for (const std::string& rule : instruction.rules) {
    out["rules"].push_back(ordered_json::parse(rule));
  }
  if (instruction.active_from) out["active_from"] = *instruction.active_from;
  if (instruction.active_until) out["active_until"] = *instruction.active_until;
  put(out, "overridden_by", instruction.overridden_by);
  return out;
}

ordered_json json_of(const ConversationTurn& turn) {
  ordered_json out = {{"turn_id", turn.turn_id}, {"role", role_name(turn.speaker)}};
  if (turn.instruction) out["instruction"] = json_of(*turn.instruction);
  put(out, "content", turn.content);
  put(out, "query", turn.query);
  put(out, "expected_behavior", turn.expected_behavior);
  put(out, "expects", turn.expects);
  return out;
}

}  // namespace

std::string conversations_to_json(const ConversationSet& set) {
  ordered_json list = ordered_json::array();
  for (const Conversation& conversation : set.conversations) {
    ordered_json out = {{"id", conversation.id}};
    put(out, "conflict_type", conversation.conflict_type);
    put(out, "domain", conversation.domain);
    out["turns"] = ordered_json::array();
    for (const ConversationTurn& turn : conversation.turns) out["turns"].push_back(json_of(turn));
    list.push_back(std::move(out));
  }
  ordered_json root = ordered_json::object();
  put(root, "version", set.version);
  root["conversations"] = std::move(list);
  return root.dump(1) + "\n";
}

}  // namespace ebb::experiment
