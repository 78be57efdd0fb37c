// Budgets that make arms comparable: one integer for each turn of a conversation, the same for all
// arms, whatever they reply. Taken from the baseline's lengths, or from the bytes of an arm whose
// policy decides for itself how much stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "policy/treatment.h"

namespace ebb::policy {

struct MatchedBudget {
  std::vector<int64_t> schedule;  // cells per layer and KV head, one entry a turn
  std::string label;              // what it was matched to, for records
};

// max(1, floor(ratio * length)): logical_lengths[turn] is how many tokens the baseline had seen at
// the end of the turn.  Throws: kUsage for no turns, or a length below 1 or below the one before.
MatchedBudget match_lengths(std::span<const int64_t> logical_lengths, const Ratio& ratio);

// The most cells per head whose sum is not above the arm's bytes after each turn, where a sliding
// layer can hold no more than its window.  Requires: a budget that every layer is held to.
// Throws: kUsage for no turns, or where a turn's bytes hold less than one cell a head.
MatchedBudget match_bytes(std::string_view arm, std::span<const size_t> bytes, int64_t window,
                          const CacheShape& shape);

// The treatment under that budget.  Throws: kUsage for a policy that decides for itself: other arms
// are matched to its bytes instead.
Treatment with_matched_budget(Treatment treatment, const MatchedBudget& budget);

}  // namespace ebb::policy
