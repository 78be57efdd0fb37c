// The project's own study set, data/conflicts.json: every conflict type in every domain, each in
// both orders of its pair, with kinds, lengths and ages spread evenly. data/README.md has the
// counts.
#pragma once

#include "experiment/conversation.h"
#include "experiment/conversation_bank.h"

namespace ebb::experiment {

// Requires: five conflict types with two exclusive pairs and a compatible one each, ten domains.
// Throws: kBadData where the bank is not so.
ConversationSet make_balanced_set(const ConversationBank& bank);

}  // namespace ebb::experiment
