// Writes conversations in the format that conversation.h reads: the same set gives the same bytes.
#pragma once

#include <string>

#include "experiment/conversation.h"

namespace ebb::experiment {

// Version and conversations; line numbers, hash and notices are not part of the format.
std::string conversations_to_json(const ConversationSet& set);

}  // namespace ebb::experiment
