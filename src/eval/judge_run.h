// Asks a judge about the items of a study, one by one. What it cannot get is pending; nothing that
// a judge does stops it.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "eval/judge.h"
#include "eval/judge_answers.h"
#include "eval/judge_prompt.h"
#include "record/study_records.h"

namespace ebb::eval {

enum class JudgeScope {
  kNeeded,  // what a combined score needs: see needs_judge
  kAll,     // every item, so that rules and judge can be compared
};

struct JudgeProgress {
  size_t n_done = 0;
  size_t n_total = 0;
  size_t n_pending = 0;
};

struct JudgeRunOptions {
  JudgeScale scale = JudgeScale::kBinary;
  JudgeScope scope = JudgeScope::kNeeded;
  // After so many items in a row without any answer the rest is left pending unasked, so that a
  // dead server costs minutes and not a night. 0 = never.
  size_t n_failures_in_row_max = 5;
  std::function<void(const JudgeProgress&)> on_progress;  // may be empty
};

// Throws: kInterrupted (what was answered is in the cache), and what scored_turns throws.
JudgeAnswers run_judge(const record::StudyInfo& study,
                       std::span<const record::ConversationText> conversations,
                       std::span<const record::UnitRecord> units, TextGenerator& judge,
                       const JudgeRunOptions& options);

// Whether a judge may score a study at all.
enum class JudgeUse { kFine, kFlagged, kRefused };
struct JudgeFitness {
  JudgeUse use = JudgeUse::kFine;
  std::string reason;  // "" where it is fine
};

struct JudgeIdentity {
  std::string model;               // name of the file or on the server
  std::string sha256;              // of its file; "" = unknown
  std::string treatment = "none";  // of the judge's own cache
};

// Refused: a judge whose own cache is evicted - it forgets what it judges.  Flagged: the model of
// the study itself, which may favour its own words. Names are compared by their letters and digits.
JudgeFitness judge_conflict(const record::StudyInfo& study, const JudgeIdentity& judge);

}  // namespace ebb::eval
