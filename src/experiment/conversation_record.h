// A conversation as the record keeps it, so that eval and report need no conversation file.
#pragma once

#include "experiment/conversation.h"
#include "record/study_records.h"

namespace ebb::experiment {

// Every turn and every instruction, in the order of the file. An instruction's text stands once, in
// `instructions`; its turn names it.
record::ConversationText to_record(const Conversation& conversation);
// The same conversation again, but for its lines in the file.  Throws: kBadData for a speaker or
// an instruction that a record cannot have.
Conversation from_record(const record::ConversationText& text);

}  // namespace ebb::experiment
