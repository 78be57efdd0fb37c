// Everything that tables, figures and the report are made from. It comes from the store and from
// scoring; nothing in this folder runs a model or prints.
#pragma once

#include <vector>

#include "record/score_records.h"
#include "record/study_records.h"

namespace ebb::report {

struct StudyData {
  record::StudyInfo study;
  std::vector<record::ConversationText> conversations;
  std::vector<record::UnitRecord> units;
  record::StudyScores scores;
};

}  // namespace ebb::report
