#include "eval/recall_scores.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eval/scored_items.h"

namespace ebb::eval {
namespace {

struct Sum {
  double total = 0;
  int n = 0;

  void add(double value) {
    total += value;
    ++n;
  }
  std::optional<double> mean() const { return n > 0 ? std::optional(total / n) : std::nullopt; }
};

// Recall of the arms of one kind: of a conversation and seed, else of the conversation.
class Reference {
 public:
  Reference(const record::StudyInfo& study, const record::StudyScores& scores,
            const std::string& kind) {
    for (const record::UnitScore& unit : scores.units) {
      const bool is_of_kind = std::any_of(
          study.arms.begin(), study.arms.end(),
          [&](const record::ArmInfo& arm) { return arm.name == unit.arm && arm.kind == kind; });
      if (!is_of_kind || unit.endpoint != "recall") continue;
      by_seed_[{unit.conversation, unit.seed}].add(unit.score);
      by_conversation_[unit.conversation].add(unit.score);
    }
  }

  std::optional<double> recall(const record::UnitScore& unit) const {
    const auto same_seed = by_seed_.find({unit.conversation, unit.seed});
    if (same_seed != by_seed_.end()) return same_seed->second.mean();
    const auto any_seed = by_conversation_.find(unit.conversation);
    return any_seed == by_conversation_.end() ? std::nullopt : any_seed->second.mean();
  }

 private:
  std::map<std::pair<std::string, uint64_t>, Sum> by_seed_;
  std::map<std::string, Sum> by_conversation_;
};

}  // namespace

std::vector<const record::RecallProbe*> counted_probes(const record::ConversationText& conversation,
                                                       const record::UnitRecord& unit) {
  std::vector<const record::RecallProbe*> out;
  if (unit.turns.empty() || unit.recall.empty()) return out;
  int last = unit.turns.back().turn_id;
  for (const record::TurnText& turn : conversation.turns) {
    if (turn.speaker == "user") last = turn.turn_id;
  }
  const std::vector<ScoredItem> items = items_at(conversation, last);
  const auto is_active = [](const ScoredItem& item) { return item.state == ItemState::kActive; };
  const bool takes_all = std::none_of(items.begin(), items.end(), is_active);
  for (const record::RecallProbe& probe : unit.recall) {
    const bool is_wanted = std::any_of(items.begin(), items.end(), [&](const ScoredItem& item) {
      return is_active(item) && item.instruction->id == probe.instruction_id;
    });
    if (takes_all || is_wanted) out.push_back(&probe);
  }
  return out;
}

void add_retention(const record::StudyInfo& study, double min_gain, record::StudyScores& scores) {
  const Reference baseline(study, scores, "baseline");
  const Reference unseen(study, scores, "no_instruction");
  std::vector<record::UnitScore> added;
  for (const record::UnitScore& unit : scores.units) {
    if (unit.endpoint != "recall") continue;
    const std::optional<double> highest = baseline.recall(unit);
    const std::optional<double> lowest = unseen.recall(unit);
    if (!highest || !lowest || *highest - *lowest <= min_gain) continue;
    record::UnitScore retention = unit;
    retention.endpoint = "retention";
    retention.score = (unit.score - *lowest) / (*highest - *lowest);
    added.push_back(std::move(retention));
  }
  scores.units.insert(scores.units.end(), added.begin(), added.end());
}

}  // namespace ebb::eval
