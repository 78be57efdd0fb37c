// The bank that generated conversations are made of: domains with questions and recorded replies,
// pairs of instructions with rules, and the sentences around them. Holds text, composes nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ebb::experiment {

struct BankExchange {
  std::string question;
  std::string reply;
};

// What a conversation is about.
struct BankDomain {
  std::string name;
  std::string opening;              // the first turn's content
  std::vector<std::string> topics;  // of the note that is asked for at the end
  std::vector<BankExchange> fillers;
};

struct BankInstruction {
  std::string id;
  std::string text;
  std::vector<std::string> rules;  // each a JSON object as text
};

// Whether one reply can obey both sides of a pair.
enum class PairRelation { kExclusive, kCompatible };

struct BankPair {
  std::string name;
  std::string conflict_type;
  PairRelation relation = PairRelation::kExclusive;
  std::vector<BankInstruction> sides;  // two
};

// Variants of one sentence; "{}" stands for the text that is put in.
using Phrases = std::vector<std::string>;

struct ConversationBank {
  std::string version;
  Phrases announce, override_first, conflict, add, withdraw, cancel;  // around instructions
  Phrases acknowledge, welcome, change_subject, ask;                  // around the rest
  std::vector<BankPair> pairs;
  std::vector<BankDomain> domains;

  // In the order of their first pair.
  std::vector<std::string> conflict_types() const;
};

// Throws: kBadData with file, line, field, what was found and what was expected.
ConversationBank parse_bank(std::string_view json_text, const std::string& where);
// data/conversation_bank.json, compiled in.
const ConversationBank& builtin_bank();

}  // namespace ebb::experiment
