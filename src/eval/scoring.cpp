#include "eval/scoring.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "eval/recall_scores.h"
#include "eval/rules.h"
#include "eval/scored_items.h"

namespace ebb::eval {
namespace {

using record::ConversationText;
using record::InstructionText;
using record::ItemScore;
using record::UnitRecord;

struct Mean {
  double sum = 0;
  double weight = 0;

  void add(double value, double of = 1) {
    sum += value * of;
    weight += of;
  }
  std::optional<double> value() const {
    return weight > 0 ? std::optional(sum / weight) : std::nullopt;
  }
};

// A conversation with its rules parsed once.
struct PreparedConversation {
  const ConversationText* text = nullptr;
  std::map<const InstructionText*, std::vector<Rule>> rules;
};

PreparedConversation prepare(const ConversationText& conversation) {
  PreparedConversation prepared{&conversation, {}};
  for (const InstructionText& instruction : conversation.instructions) {
    std::vector<Rule>& rules = prepared.rules[&instruction];
    for (const std::string& json : instruction.rules) {
      try {
        rules.push_back(parse_rule(json));
      } catch (const Error& error) {
        throw Error::make(ErrorKind::kBadData, "conversation '{}', instruction '{}', rule {}: {}",
                          conversation.id, instruction.id, json, error.what());
      }
    }
  }
  return prepared;
}

void score_by_rules(const std::vector<Rule>& rules, const std::string& reply, ItemScore& item) {
  if (rules.empty()) return;
  Mean strict, loose;
  for (const Rule& rule : rules) {
    const RuleVerdict verdict = check_rule(rule, reply, Strictness::kStrict);
    strict.add(verdict.has_passed() ? 1 : 0);
    loose.add(check_rule(rule, reply, Strictness::kLoose).has_passed() ? 1 : 0);
    item.detail +=
        fmt::format("{}{}: {}", item.detail.empty() ? "" : "; ", rule.id, verdict.detail);
  }
  item.rule_strict = strict.value();
  item.rule_loose = loose.value();
}

void score_by_judge(const JudgeAnswers* judge, bool is_needed, ItemScore& item) {
  item.judge_state = is_needed ? "not run" : "";
  if (judge == nullptr) return;
  const auto found = judge->verdicts.find({item.unit_id, item.turn_id, item.instruction_id});
  if (found == judge->verdicts.end()) return;
  const JudgeVerdict& verdict = found->second;
  item.judge = verdict.score;
  item.judge_state = verdict.score ? "done" : "pending";
  item.detail += fmt::format("{}judge: {}", item.detail.empty() ? "" : "; ", verdict.detail);
}

// Rule where there is one, else judge; where the weights ask for both, both must be there.
std::optional<double> combine(const record::StudyInfo& study, const ItemScore& item) {
  if (!item.rule_strict) return item.judge;
  if (study.judge_weight == 0) return item.rule_strict;
  if (!item.judge) return std::nullopt;
  return (study.rule_weight * *item.rule_strict + study.judge_weight * *item.judge) /
         (study.rule_weight + study.judge_weight);
}

// The items of one scored turn that are in one state.
using Items = std::vector<const ItemScore*>;

std::optional<double> mean_of(const Items& items, std::optional<double> ItemScore::*field) {
  Mean mean;
  for (const ItemScore* item : items) {
    if (item->*field) mean.add(*(item->*field));
  }
  return mean.value();
}

bool has_pending(const Items& items) {
  return std::any_of(items.begin(), items.end(),
                     [](const ItemScore* item) { return item->judge_state == "pending"; });
}

// By rule, else by judge; instructions with neither are left out.
std::optional<double> perseveration_of(const Items& outdated) {
  Mean mean;
  for (const ItemScore* item : outdated) {
    const std::optional<double> obeyed = item->rule_strict ? item->rule_strict : item->judge;
    if (obeyed) mean.add(*obeyed);
  }
  return mean.value();
}

// Scores of one unit, gathered turn by turn.
class UnitScorer {
 public:
  UnitScorer(const record::StudyInfo& study, const PreparedConversation& conversation,
             const UnitRecord& unit, const JudgeAnswers* judge, record::StudyScores& out)
      : study_(study), conversation_(conversation), unit_(unit), judge_(judge), out_(out) {}

  void run() {
    for (const ScoredTurn& turn : scored_turns(*conversation_.text, unit_)) score_turn(turn);
    for (const char* endpoint : {"rules", "rules_loose", "judge", "combined", "perseveration"}) {
      const EndpointMean& mean = means_[endpoint];
      if (!mean.is_incomplete) write(endpoint, mean.mean.value());
    }
    write_recall();
    write_fidelity();
  }

 private:
  struct EndpointMean {
    Mean mean;                   // over scored turns
    bool is_incomplete = false;  // a turn's value is still to come, so there is no mean yet
  };

  const std::string& class_of(const InstructionText& instruction) const {
    const std::vector<Rule>& rules = conversation_.rules.at(&instruction);
    return rules.empty() ? conversation_.text->conflict_type : rules.front().id;
  }

  ItemScore score_item(const ScoredTurn& turn, const ScoredItem& scored) const {
    const InstructionText& instruction = *scored.instruction;
    const std::vector<Rule>& rules = conversation_.rules.at(&instruction);
    ItemScore item;
    item.unit_id = unit_.unit_id;
    item.conversation = unit_.conversation;
    item.arm = unit_.arm;
    item.seed = unit_.seed;
    item.turn_id = turn.turn->turn_id;
    item.instruction_id = instruction.id;
    item.instruction_class = class_of(instruction);
    item.state = scored.state == ItemState::kActive ? "active" : "outdated";
    score_by_rules(rules, turn.turn->reply, item);
    score_by_judge(judge_, needs_judge(study_, instruction), item);
    item.combined = combine(study_, item);
    return item;
  }

  void score_turn(const ScoredTurn& turn) {
    std::vector<ItemScore> items;
    items.reserve(turn.items.size());
    Items active, outdated;
    for (const ScoredItem& scored : turn.items) {
      items.push_back(score_item(turn, scored));
      (scored.state == ItemState::kActive ? active : outdated).push_back(&items.back());
    }
    add("rules", mean_of(active, &ItemScore::rule_strict));
    add("rules_loose", mean_of(active, &ItemScore::rule_loose));
    add("judge", mean_of(active, &ItemScore::judge), has_pending(active));
    const bool lacks_one = std::any_of(active.begin(), active.end(),
                                       [](const ItemScore* item) { return !item->combined; });
    add("combined", mean_of(active, &ItemScore::combined), lacks_one);
    const bool waits = std::any_of(outdated.begin(), outdated.end(), [](const ItemScore* item) {
      return !item->rule_strict && item->judge_state == "pending";
    });
    add("perseveration", perseveration_of(outdated), waits);
    for (ItemScore& item : items) {
      if (item.judge_state == "pending") ++out_.n_pending;
      out_.items.push_back(std::move(item));
    }
  }

  void add(const char* endpoint, std::optional<double> value, bool is_incomplete = false) {
    EndpointMean& mean = means_[endpoint];
    if (value) mean.mean.add(*value);
    mean.is_incomplete = mean.is_incomplete || is_incomplete;
  }

  void write_recall() {
    Mean recall;
    for (const record::RecallProbe* probe : counted_probes(*conversation_.text, unit_)) {
      recall.add(probe->loglik);
      record::ProbeScore score{.unit_id = unit_.unit_id,
                               .conversation = unit_.conversation,
                               .arm = unit_.arm,
                               .seed = unit_.seed,
                               .instruction_id = probe->instruction_id,
                               .loglik = probe->loglik,
                               .kept_share = probe->kept_share};
      for (const InstructionText& instruction : conversation_.text->instructions) {
        if (instruction.id == probe->instruction_id)
          score.instruction_class = class_of(instruction);
      }
      out_.probes.push_back(std::move(score));
    }
    write("recall", recall.value());
  }

  void write_fidelity() {
    Mean kl, top1, delta_loglik;
    for (const record::UnitTurn& turn : unit_.turns) {
      if (!turn.fidelity || !turn.turns_since_loss) continue;
      const double n_tokens = turn.fidelity->n_tokens;
      kl.add(turn.fidelity->kl_mean, n_tokens);
      top1.add(turn.fidelity->top1_agreement, n_tokens);
      delta_loglik.add(turn.fidelity->delta_loglik, n_tokens);
    }
    write("kl", kl.value());
    write("top1", top1.value());
    write("delta_loglik", delta_loglik.value());
  }

  void write(const char* endpoint, std::optional<double> score) {
    if (!score) return;
    out_.units.push_back(
        {unit_.unit_id, unit_.conversation, unit_.arm, unit_.seed, endpoint, *score});
  }

  const record::StudyInfo& study_;
  const PreparedConversation& conversation_;
  const UnitRecord& unit_;
  const JudgeAnswers* judge_;
  record::StudyScores& out_;
  std::map<std::string, EndpointMean> means_;
};

void check_weights(const record::StudyInfo& study) {
  const auto is_weight = [](double weight) { return std::isfinite(weight) && weight >= 0; };
  if (is_weight(study.rule_weight) && is_weight(study.judge_weight) &&
      study.rule_weight + study.judge_weight > 0) {
    return;
  }
  throw Error::make(ErrorKind::kUsage,
                    "study '{}': found rule weight {} and judge weight {} of the combined score, "
                    "expected numbers from 0 up, not both 0 (the default is 1 and 0)",
                    study.name, study.rule_weight, study.judge_weight);
}

}  // namespace

bool needs_judge(const record::StudyInfo& study, const InstructionText& instruction) {
  return instruction.rules.empty() || study.judge_weight > 0;
}

record::StudyScores score_units(const record::StudyInfo& study,
                                std::span<const ConversationText> conversations,
                                std::span<const UnitRecord> units, const JudgeAnswers* judge) {
  check_weights(study);
  std::map<std::string, PreparedConversation> prepared;
  for (const ConversationText& conversation : conversations) {
    prepared.emplace(conversation.id, prepare(conversation));
  }
  record::StudyScores out;
  if (judge != nullptr) out.judge_name = judge->judge_name;
  for (const UnitRecord& unit : units) {
    const auto found = prepared.find(unit.conversation);
    if (found == prepared.end()) {
      throw Error::make(ErrorKind::kBadData,
                        "unit {}: found conversation '{}', expected one of the study's {}",
                        unit.unit_id, unit.conversation, conversations.size());
    }
    UnitScorer(study, found->second, unit, judge, out).run();
  }
  add_retention(study, kMinRecallGain, out);
  return out;
}

}  // namespace ebb::eval
