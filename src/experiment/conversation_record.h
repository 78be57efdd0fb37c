// A conversation as the record keeps it, so that eval and report need no conversation file.
#pragma once

#include "experiment/conversation.h"
#include "record/study_records.h"

namespace ebb::experiment {

// Every turn and every instruction, in the order of the file. An instruction's text stands once, in
// `instructions`; its turn names it.
record::ConversationText to_record(const Conversation& conversation);

}  // namespace ebb::experiment
