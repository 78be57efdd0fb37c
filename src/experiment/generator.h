// Composes conversations from the bank: an instruction or two, neutral turns with recorded replies
// in between, and a question whose reply is scored. The same options give the same text. Runs no
// model and counts no tokens: lengths are estimates from words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/conversation.h"
#include "experiment/conversation_bank.h"

namespace ebb::experiment {

// What happens to the instructions before the scored turn.
enum class ConflictKind {
  kPersistent,   // one instruction; expects first
  kOverriding,   // the second says that the first no longer holds; expects second
  kConflicting,  // the second contradicts the first and does not say so; expects second
  kAdded,        // the second comes in addition; expects both
  kWithdrawn,    // the second is taken back; expects first
  kCancelled,    // both are taken back; expects neither
};

// Which side of a pair is given first.
enum class PairOrder { kAsListed, kReversed };

struct Recipe {
  ConflictKind kind = ConflictKind::kPersistent;
  const BankPair* pair = nullptr;      // required
  const BankDomain* domain = nullptr;  // required
  PairOrder order = PairOrder::kAsListed;
  // Whole exchanges between the turn that decides what is expected and the scored turn; absent:
  // as many as there is room for.
  std::optional<int> age = {};
  int n_tokens_min = 0;  // estimated, before the scored turn; 0: as few turns as the rest needs
  uint64_t seed = 1;     // draws neutral turns, topic and phrases
  std::string draw_key = {};  // recipes with equal seed and key draw alike
  std::string id = {};        // of the conversation
};

// Throws: kUsage where the bank has too few turns for age or length.
Conversation compose(const ConversationBank& bank, const Recipe& recipe);

struct GeneratorOptions {
  ConflictKind kind = ConflictKind::kOverriding;
  std::optional<int> age = {};
  int n_tokens_min = 0;
  int count = 10;
  uint64_t seed = 1;
};

// `count` conversations; types, domains, pairs and their order take turns.  Throws: as compose, and
// kUsage for a count below 1.
std::vector<Conversation> generate(const ConversationBank& bank, const GeneratorOptions& options);

std::string_view conflict_kind_name(ConflictKind kind);
// Throws: kUsage with the known names.
ConflictKind parse_conflict_kind(std::string_view name);
const std::vector<std::string>& conflict_kind_names();

// From the number of words, with the template's tokens.
int estimated_tokens(const ConversationTurn& turn);
// Of all turns before the last.
int estimated_tokens_before_last(const Conversation& conversation);

}  // namespace ebb::experiment
