// The raw numbers behind a table as files: scores of units, verdicts on items, turns with replies.
// docs/outputs.md names every column.
#pragma once

#include <string>

#include "report/analysis.h"
#include "report/study_data.h"

namespace ebb::report {

// Rows in the order arm (as the study lists them), conversation, seed, then endpoint or turn.
std::string scores_csv(const StudyData& data);
std::string items_csv(const StudyData& data);
std::string turns_csv(const StudyData& data);

// Every comparison of every endpoint and instruction class, with all details.
std::string stats_csv(const Analysis& analysis);
// The points behind the dose-response curves.
std::string dose_csv(const Analysis& analysis);

}  // namespace ebb::report
