// Planned comparisons of a study, endpoint by endpoint: calls stats::compare_arms with what was
// planned, and keeps a planned contrast in its family where a run left it without data.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/analysis.h"

namespace ebb::report {

// Scores by endpoint.
using EndpointScores = std::map<std::string, std::vector<stats::ScoreRow>>;
EndpointScores endpoint_scores(const record::StudyScores& scores);

// Throws: kUsage for an unknown test or correction.
stats::CompareOptions compare_options(const record::StudyInfo& study,
                                      const AnalyseOptions& options);

// What the planned contrasts are on one set of scores. kAsPlanned: the families of the study.
// kExploratory: every contrast is exploratory.
enum class Families { kAsPlanned, kExploratory };
struct Plan {
  Families families = Families::kExploratory;
  std::string endpoint = {};  // whose margins equivalence is tested within; "": it is not tested
};

// Rows in the study's order. A contrast without data has a row without numbers and says why.
std::vector<stats::ArmRow> planned_rows(const record::StudyInfo& study,
                                        const std::vector<stats::ScoreRow>& scores,
                                        const Plan& plan, stats::CompareOptions options);

// Baseline minus every other arm that has scores: the planned contrast's row where there is one, so
// that a figure and the table show the same interval. For figures: p values belong to the table.
std::vector<stats::ArmRow> baseline_effects(const record::StudyInfo& study,
                                            const std::vector<stats::ScoreRow>& scores,
                                            const std::vector<stats::ArmRow>& planned,
                                            const stats::CompareOptions& options);

// The contrast baseline - no_instruction judged: see Assessability.
Assessability assess(const record::StudyInfo& study, const std::vector<stats::ScoreRow>& scores,
                     const stats::CompareOptions& options);

// Whether the endpoint has a value for each instruction, and so for each class: those of verdicts
// have, and recall. Others (retention, kl, ...) are values of a whole unit.
bool has_classes(const std::string& endpoint);

// The primary endpoint per instruction class, over active items or counted probes.  Empty where the
// endpoint has no classes.
std::vector<ClassResult> class_results(const StudyData& data, const stats::CompareOptions& options);

}  // namespace ebb::report
