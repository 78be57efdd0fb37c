// All files of a study's report in one folder.
#pragma once

#include <filesystem>
#include <string>

#include "report/analysis.h"

namespace ebb::report {

struct WrittenReport {
  Analysis analysis;
  std::string figure_problem;  // "", or why figure 1 was not drawn; the rest is there all the same
};

// scores.csv, items.csv, turns.csv, stats.csv, dose.csv, table1.*, figure1.*, report.html. Each
// file gets its name only when it is complete.  Throws: kStorage, and what analyse throws.
WrittenReport write_report(const StudyData& data, const std::filesystem::path& folder,
                           const AnalyseOptions& options = {});

}  // namespace ebb::report
