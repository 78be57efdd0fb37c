// Conversation sets: the plan's JSON, read strictly enough that a typing error is found, not
// ignored. Does not know how a model wants its turns written (model/chat_template.h) or how replies
// are scored.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_template_turns.h"

namespace ebb::experiment {

enum class Speaker { kSystem, kUser, kAssistant };

// What a reply should obey, from one turn on and until another instruction overrides it.
struct Instruction {
  std::string id;  // unique in its conversation; "i" and the turn's id where the file has none
  std::string text;
  std::vector<std::string> rules;  // each a JSON object as text: {"id": ..., "parameters": {...}}
  std::optional<int> active_from;  // turn ids
  std::optional<int> active_until;
  std::string overridden_by;  // another instruction's id, or ""
};

struct ConversationTurn {
  int turn_id = 0;
  Speaker speaker = Speaker::kUser;
  std::optional<Instruction> instruction;
  std::string content;
  std::string query;
  std::string expected_behavior;
  std::string
      expects;   // which instruction the reply should obey: first, second, both, neither, or ""
  int line = 0;  // in the file, from 1
};

struct Conversation {
  std::string id;
  std::string conflict_type;
  std::string domain;
  std::vector<ConversationTurn> turns;
  int line = 0;
};

struct ConversationSet {
  std::string name;     // the file's name
  std::string version;  // of the set, or ""
  std::string sha256;   // of the file's bytes
  std::vector<Conversation> conversations;
  std::vector<std::string> notices;  // what an importer left out, one line each
};

// In any format that import.h knows, found by its content.
// Throws: kStorage where the file cannot be read, kBadData with file, line, field, what was found
// and what was expected.
ConversationSet load_conversations(const std::filesystem::path& path);
// The plan's JSON. `where` stands for the file's name in messages.
ConversationSet parse_conversations(std::string_view json_text, const std::string& where);

// One user turn as a model gets it, with the reply that the file records, if any.
struct Exchange {
  int turn_id = 0;
  model::TurnInput input;
  std::optional<std::string> recorded_reply;
  const ConversationTurn* turn = nullptr;  // borrowed from the conversation
};
std::vector<Exchange> exchanges_of(const Conversation& conversation);

}  // namespace ebb::experiment
