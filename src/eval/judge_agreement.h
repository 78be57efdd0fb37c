// How far a judge can be trusted: against rules in a study, and against people on our golden set.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/judge.h"
#include "eval/judge_prompt.h"
#include "eval/rules.h"
#include "record/score_records.h"
#include "stats/agreement.h"

namespace ebb::eval {

// Over items with a rule and a judge's verdict; obeyed means every rule passes, and a judge's score
// of at least 0.5.  Absent: there are no such items.
std::optional<stats::Kappa> rules_judge_agreement(const record::StudyScores& scores);

// An instruction and a reply on which a person has decided and a rule can.
struct GoldenItem {
  std::string id;
  JudgeQuestion question;
  Rule rule;
  bool is_obeyed = false;  // by the person's verdict
};

// The set that is built in: data/judge_golden.json.
std::vector<GoldenItem> golden_items();
// Throws: kBadData with the item and what is wrong.
std::vector<GoldenItem> parse_golden(std::string_view json);

struct GoldenCheck {
  std::optional<stats::Kappa> kappa;       // over items with a verdict; absent: there are none
  std::vector<std::string> disagreements;  // "id: what the judge said"
  std::vector<std::string> pending;        // "id: why"
};
GoldenCheck check_rules_on_golden(const std::vector<GoldenItem>& items);
// Throws: kInterrupted.
GoldenCheck check_judge_on_golden(const std::vector<GoldenItem>& items, TextGenerator& judge,
                                  JudgeScale scale);

}  // namespace ebb::eval
