// The endpoints made of recall probes. Internal to scoring.
#pragma once

#include <vector>

#include "record/score_records.h"
#include "record/study_records.h"

namespace ebb::eval {

// The probes that count wherever recall is spoken of: those of the instructions active in the
// conversation's last user turn (run or not: the probes came before it); all where none is active.
std::vector<const record::RecallProbe*> counted_probes(const record::ConversationText& conversation,
                                                       const record::UnitRecord& unit);

// Appends endpoint "retention" to every unit that has a "recall" and both references.
void add_retention(const record::StudyInfo& study, double min_gain, record::StudyScores& scores);

}  // namespace ebb::eval
