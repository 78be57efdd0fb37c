// From scores of single units to one pair of numbers per conversation. Seeds are repeats of the
// same conversation, not further conversations: they are averaged before anything is paired.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::stats {

// One unit's score on one endpoint.
struct ScoreRow {
  std::string conversation;
  std::string arm;
  uint64_t seed = 0;
  double score = 0;
};

// conversation -> seed -> score, of one arm.
using ArmScores = std::map<std::string, std::map<uint64_t, double>>;

// Throws: kBadData for NaN, or for two rows of the same conversation, arm and seed.
std::map<std::string, ArmScores> group_by_arm(std::span<const ScoreRow> rows);

// The mean over a conversation's seeds; the same values in another order give the same bits.
double seed_mean(const std::map<uint64_t, double>& scores);

struct PairedScores {
  std::vector<std::string> conversations = {};  // sorted; those that both arms have
  std::vector<double> first = {};               // means over seeds
  std::vector<double> second = {};
  // first - second, rounded to a multiple of 2^-40 so that differences which are equal but for
  // rounding (0.3 - 0.2 and 0.1 - 0) are equal: zeros and ties depend on it.
  std::vector<double> differences = {};
  size_t n_unpaired = 0;  // conversations that only one of the arms has; left out
};

PairedScores pair_by_conversation(const ArmScores& first, const ArmScores& second);

// Correct in the first arm and wrong in the second, and the other way, summed over conversations.
struct Transitions {
  double correct_to_wrong = 0;  // a whole number with one seed, else conversations' shares added up
  double wrong_to_correct = 0;
};

// Nothing unless every score is 0 or 1 and the seeds of each conversation match: the same ones in
// both arms, or a single one in one of them (which then meets every seed of the other).
std::optional<Transitions> transitions(const ArmScores& first, const ArmScores& second);

}  // namespace ebb::stats
