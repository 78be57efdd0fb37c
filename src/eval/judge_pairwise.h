// Two arms side by side: which reply obeys better? Asked in both orders, because judges prefer a
// place; only a verdict that survives the swap counts. Apart from scores: it never enters them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/judge.h"
#include "record/study_records.h"

namespace ebb::eval {

enum class PairOutcome {
  kFirst,
  kSecond,
  kTie,      // said so, or the two orders contradict each other
  kPending,  // an order has no valid answer
};

struct PairVerdict {
  std::string conversation;
  uint64_t seed = 0;
  int turn_id = 0;
  PairOutcome outcome = PairOutcome::kPending;
  bool is_consistent = false;  // both orders said the same
  std::string detail;
};

struct PairwiseResult {
  std::string first, second;  // arms
  std::vector<PairVerdict> verdicts;
  // The share of first among decided pairs and the like are left to reports.
  size_t count(PairOutcome outcome) const;
};

struct PairwiseOptions {
  std::string first, second;                                       // arms
  std::function<void(size_t n_done, size_t n_total)> on_progress;  // may be empty
};

// Compares the scored turns that both arms have for a conversation and seed, under all instructions
// active there; turns without any are skipped.
// Throws: kUsage for an unknown arm, or twice the same; kInterrupted; what scored_turns throws.
PairwiseResult judge_pairwise(const record::StudyInfo& study,
                              std::span<const record::ConversationText> conversations,
                              std::span<const record::UnitRecord> units, TextGenerator& judge,
                              const PairwiseOptions& options);

}  // namespace ebb::eval
