#include "eval/judge_pairwise.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "eval/judge_answer.h"
#include "eval/scored_items.h"

namespace ebb::eval {
namespace {

struct Pair {
  PairVerdict verdict;
  JudgeQuestion question;  // with the first arm's reply
  std::string second_reply;
};

std::string active_texts(const ScoredTurn& turn) {
  std::string texts;
  for (const ScoredItem& item : turn.items) {
    if (item.state != ItemState::kActive) continue;
    texts += (texts.empty() ? "" : "\n") + item.instruction->text;
  }
  return texts;
}

void add_pairs(const record::ConversationText& conversation, const record::UnitRecord& first,
               const record::UnitRecord& second, std::vector<Pair>& pairs) {
  const std::vector<ScoredTurn> others = scored_turns(conversation, second);
  for (const ScoredTurn& turn : scored_turns(conversation, first)) {
    const auto other = std::find_if(others.begin(), others.end(), [&](const ScoredTurn& one) {
      return one.turn->turn_id == turn.turn->turn_id;
    });
    const std::string texts = active_texts(turn);
    if (other == others.end() || texts.empty()) continue;
    Pair pair;
    pair.verdict.conversation = conversation.id;
    pair.verdict.seed = first.seed;
    pair.verdict.turn_id = turn.turn->turn_id;
    pair.question = {texts, request_of(*turn.text), turn.turn->reply};
    pair.second_reply = other->turn->reply;
    pairs.push_back(std::move(pair));
  }
}

void check_arms(const record::StudyInfo& study, const PairwiseOptions& options) {
  std::vector<std::string> names;
  for (const record::ArmInfo& arm : study.arms) names.push_back(arm.name);
  for (const std::string& wanted : {options.first, options.second}) {
    if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
    throw Error::make(ErrorKind::kUsage, "pairwise: found arm '{}', expected one of the study's{}",
                      wanted, did_you_mean(wanted, names));
  }
  if (options.first == options.second) {
    throw Error::make(ErrorKind::kUsage, "pairwise: found arm '{}' twice, expected two arms",
                      options.first);
  }
}

void decide(TextGenerator& judge, Pair& pair) {
  PairVerdict& verdict = pair.verdict;
  const ReadPair straight = ask_pair(judge, pair.question, pair.second_reply);
  JudgeQuestion swapped = pair.question;
  swapped.reply = pair.second_reply;
  const ReadPair turned =
      straight.better ? ask_pair(judge, swapped, pair.question.reply) : ReadPair();
  if (!straight.better || !turned.better) {
    verdict.detail = straight.better ? turned.problem : straight.problem;
    return;
  }
  const auto seen_straight = [](Better better) {
    return better == Better::kA ? Better::kB : better == Better::kB ? Better::kA : Better::kTie;
  };
  verdict.is_consistent = *straight.better == seen_straight(*turned.better);
  verdict.detail = straight.evidence;
  verdict.outcome = PairOutcome::kTie;
  if (!verdict.is_consistent) {
    verdict.detail = "the two orders contradict each other";
  } else if (*straight.better != Better::kTie) {
    verdict.outcome = *straight.better == Better::kA ? PairOutcome::kFirst : PairOutcome::kSecond;
  }
}

}  // namespace

size_t PairwiseResult::count(PairOutcome outcome) const {
  return static_cast<size_t>(
      std::count_if(verdicts.begin(), verdicts.end(),
                    [&](const PairVerdict& verdict) { return verdict.outcome == outcome; }));
}

PairwiseResult judge_pairwise(const record::StudyInfo& study,
                              std::span<const record::ConversationText> conversations,
                              std::span<const record::UnitRecord> units, TextGenerator& judge,
                              const PairwiseOptions& options) {
  check_arms(study, options);
  std::map<std::pair<std::string, uint64_t>, const record::UnitRecord*> second_units;
  for (const record::UnitRecord& unit : units) {
    if (unit.arm == options.second) second_units[{unit.conversation, unit.seed}] = &unit;
  }
  std::vector<Pair> pairs;
  for (const record::UnitRecord& unit : units) {
    const auto other = second_units.find({unit.conversation, unit.seed});
    const auto conversation = std::find_if(
        conversations.begin(), conversations.end(),
        [&](const record::ConversationText& one) { return one.id == unit.conversation; });
    if (unit.arm != options.first || other == second_units.end()) continue;
    if (conversation == conversations.end()) {
      throw Error::make(ErrorKind::kBadData,
                        "unit {}: found conversation '{}', expected one of the study's {}",
                        unit.unit_id, unit.conversation, conversations.size());
    }
    add_pairs(*conversation, unit, *other->second, pairs);
  }
  PairwiseResult result{options.first, options.second, {}};
  for (Pair& pair : pairs) {
    decide(judge, pair);
    result.verdicts.push_back(std::move(pair.verdict));
    if (options.on_progress) options.on_progress(result.verdicts.size(), pairs.size());
  }
  return result;
}

}  // namespace ebb::eval
