#include "stats/pairing.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ebb::stats {
namespace {

using SeedScores = std::map<uint64_t, double>;

bool is_binary(const SeedScores& scores) {
  return std::all_of(scores.begin(), scores.end(),
                     [](const auto& one) { return one.second == 0 || one.second == 1; });
}

bool have_same_seeds(const SeedScores& a, const SeedScores& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

void add_pair(double first, double second, double weight, Transitions& out) {
  if (first > second) out.correct_to_wrong += weight;
  if (first < second) out.wrong_to_correct += weight;
}

// False where the seeds do not match.
bool add_conversation(const SeedScores& first, const SeedScores& second, Transitions& out) {
  if (have_same_seeds(first, second)) {
    const double weight = 1 / static_cast<double>(first.size());
    auto other = second.begin();
    for (const auto& [seed, score] : first) add_pair(score, (other++)->second, weight, out);
    return true;
  }
  if (first.size() != 1 && second.size() != 1) return false;
  const double weight = 1 / static_cast<double>(first.size() * second.size());
  for (const auto& [seed, score] : first) {
    for (const auto& [other_seed, other] : second) add_pair(score, other, weight, out);
  }
  return true;
}

}  // namespace

std::map<std::string, ArmScores> group_by_arm(std::span<const ScoreRow> rows) {
  std::map<std::string, ArmScores> out;
  for (const ScoreRow& row : rows) {
    if (!std::isfinite(row.score)) {
      throw Error::make(
          ErrorKind::kBadData,
          "scores: found {} for conversation '{}', arm '{}', seed {}, expected a number", row.score,
          row.conversation, row.arm, row.seed);
    }
    if (!out[row.arm][row.conversation].emplace(row.seed, row.score).second) {
      throw Error::make(ErrorKind::kBadData,
                        "scores: found two rows for conversation '{}', arm '{}', seed {}",
                        row.conversation, row.arm, row.seed);
    }
  }
  return out;
}

double seed_mean(const SeedScores& scores) {
  std::vector<double> sorted;
  for (const auto& [seed, score] : scores) sorted.push_back(score);
  std::sort(sorted.begin(), sorted.end());
  if (sorted.front() == sorted.back()) return sorted.front();
  double sum = 0;
  for (const double score : sorted) sum += score;
  return sum / static_cast<double>(sorted.size());
}

PairedScores pair_by_conversation(const ArmScores& first, const ArmScores& second) {
  PairedScores out;
  for (const auto& [conversation, scores] : first) {
    const auto other = second.find(conversation);
    if (other == second.end()) continue;
    out.conversations.push_back(conversation);
    out.first.push_back(seed_mean(scores));
    out.second.push_back(seed_mean(other->second));
    out.differences.push_back(
        std::ldexp(std::round(std::ldexp(out.first.back() - out.second.back(), 40)), -40));
  }
  out.n_unpaired = first.size() + second.size() - 2 * out.conversations.size();
  return out;
}

std::optional<Transitions> transitions(const ArmScores& first, const ArmScores& second) {
  Transitions out;
  for (const auto& [conversation, scores] : first) {
    const auto other = second.find(conversation);
    if (other == second.end()) continue;
    if (!is_binary(scores) || !is_binary(other->second)) return std::nullopt;
    if (!add_conversation(scores, other->second, out)) return std::nullopt;
  }
  return out;
}

}  // namespace ebb::stats
