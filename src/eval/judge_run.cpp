#include "eval/judge_run.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "eval/judge_answer.h"
#include "eval/scored_items.h"
#include "eval/scoring.h"

namespace ebb::eval {
namespace {

struct Task {
  JudgeKey key;
  JudgeQuestion question;
};

std::vector<Task> tasks_of(const record::StudyInfo& study,
                           std::span<const record::ConversationText> conversations,
                           std::span<const record::UnitRecord> units, JudgeScope scope) {
  std::map<std::string, const record::ConversationText*> by_id;
  for (const auto& conversation : conversations) by_id[conversation.id] = &conversation;
  std::vector<Task> tasks;
  for (const record::UnitRecord& unit : units) {
    const auto found = by_id.find(unit.conversation);
    if (found == by_id.end()) {
      throw Error::make(ErrorKind::kBadData,
                        "unit {}: found conversation '{}', expected one of the study's {}",
                        unit.unit_id, unit.conversation, conversations.size());
    }
    for (const ScoredTurn& turn : scored_turns(*found->second, unit)) {
      for (const ScoredItem& item : turn.items) {
        if (scope == JudgeScope::kNeeded && !needs_judge(study, *item.instruction)) continue;
        tasks.push_back({{unit.unit_id, turn.turn->turn_id, item.instruction->id},
                         {item.instruction->text, request_of(*turn.text), turn.turn->reply}});
      }
    }
  }
  return tasks;
}

// Counts answers on their way through, to tell a judge that answers badly from one that is gone.
class Listener final : public TextGenerator {
 public:
  explicit Listener(TextGenerator& judge) : judge_(judge) {}

  std::string name() const override { return judge_.name(); }
  Answer generate(const Prompt& prompt) override {
    const Answer answer = judge_.generate(prompt);
    if (answer.has_text()) ++n_texts_;
    return answer;
  }
  size_t n_texts() const { return n_texts_; }

 private:
  TextGenerator& judge_;
  size_t n_texts_ = 0;
};

std::string letters_and_digits(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') out.push_back(static_cast<char>(c - 'A' + 'a'));
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out.push_back(c);
  }
  return out;
}

// Names of one model differ in folders, file endings and quantisation: "org/Name-7B", "name-7b.Q8".
bool may_be_same(const std::string& first, const std::string& second) {
  constexpr size_t kTellsSomething = 4;
  const std::string a = letters_and_digits(first);
  const std::string b = letters_and_digits(second);
  if (a.size() < kTellsSomething || b.size() < kTellsSomething) return a == b && !a.empty();
  return a.find(b) != std::string::npos || b.find(a) != std::string::npos;
}

}  // namespace

JudgeAnswers run_judge(const record::StudyInfo& study,
                       std::span<const record::ConversationText> conversations,
                       std::span<const record::UnitRecord> units, TextGenerator& judge,
                       const JudgeRunOptions& options) {
  const std::vector<Task> tasks = tasks_of(study, conversations, units, options.scope);
  Listener listener(judge);
  JudgeAnswers answers{judge.name(), {}};
  JudgeProgress progress{0, tasks.size(), 0};
  size_t n_in_row = 0;
  std::string last_failure;
  for (const Task& task : tasks) {
    JudgeVerdict verdict;
    if (options.n_failures_in_row_max > 0 && n_in_row >= options.n_failures_in_row_max) {
      verdict.detail =
          fmt::format("not asked, after {} failures in a row: {}", n_in_row, last_failure);
    } else {
      const size_t n_before = listener.n_texts();
      verdict = ask_judge(listener, task.question, options.scale);
      const bool is_gone = listener.n_texts() == n_before;
      n_in_row = is_gone ? n_in_row + 1 : 0;
      if (is_gone) last_failure = verdict.detail;
    }
    ++progress.n_done;
    if (!verdict.score) ++progress.n_pending;
    answers.verdicts[task.key] = std::move(verdict);
    if (options.on_progress) options.on_progress(progress);
  }
  return answers;
}

JudgeFitness judge_conflict(const record::StudyInfo& study, const JudgeIdentity& judge) {
  if (judge.treatment != "none") {
    return {JudgeUse::kRefused,
            fmt::format("judge '{}': found treatment '{}' on its own cache, expected none: a judge "
                        "that forgets cannot judge forgetting",
                        judge.model, judge.treatment)};
  }
  const bool is_same_file = !judge.sha256.empty() && judge.sha256 == study.model_sha256;
  if (is_same_file || may_be_same(judge.model, study.model)) {
    return {JudgeUse::kFlagged,
            fmt::format("judge '{}' is or may be the model of the study, '{}': it may favour its "
                        "own words",
                        judge.model, study.model)};
  }
  return {};
}

}  // namespace ebb::eval
