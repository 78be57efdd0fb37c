// The endpoints made of recall probes. Internal to scoring.
#pragma once

#include <optional>

#include "record/score_records.h"
#include "record/study_records.h"

namespace ebb::eval {

// Mean log-likelihood per token over the probes of the instructions active in the unit's last turn;
// of all probes where none is active.  Absent: no such probe.
std::optional<double> recall_of(const record::ConversationText& conversation,
                                const record::UnitRecord& unit);

// Appends endpoint "retention" to every unit that has a "recall" and both references.
void add_retention(const record::StudyInfo& study, double min_gain, record::StudyScores& scores);

}  // namespace ebb::eval
