// What an arm is told: the conversation itself, or with its instructions left out or said again.
#pragma once

#include <vector>

#include "experiment/conversation.h"
#include "experiment/study.h"

namespace ebb::experiment {

// The instructions that the reply to `turn` should obey, in the order of the conversation.
// Throws: kBadData where the turn expects an instruction that is missing or not yet given.
std::vector<const Instruction*> wanted_instructions(const Conversation& conversation,
                                                    const ConversationTurn& turn);
// Every instruction, in the order of the turns.
std::vector<const Instruction*> all_instructions(const Conversation& conversation);

// The conversation's exchanges as an arm of this kind gets them. A turn that holds nothing but an
// instruction becomes "Let us go on." where instructions are left out.
std::vector<Exchange> exchanges_for(const Conversation& conversation, StudyArmKind kind);

}  // namespace ebb::experiment
