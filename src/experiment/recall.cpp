#include "experiment/recall.h"

#include <algorithm>

#include "base/error.h"

namespace ebb::experiment {
namespace {

engine::StepLogits feed(engine::Engine& engine, engine::Sequence& sequence,
                        const model::EncodedTurn& turn, engine::LogitRows rows) {
  std::vector<SpanId> spans;
  for (const uint16_t span : turn.span_of_token) spans.push_back(SpanId{span});
  const engine::StepItem item{&sequence, turn.ids, spans, rows};
  return engine.step(std::span(&item, 1));
}

}  // namespace

std::vector<record::RecallProbe> probe_recall(engine::Engine& engine,
                                              const engine::Session& session,
                                              const std::vector<const Instruction*>& instructions,
                                              const std::vector<model::Piece>& reminders) {
  std::vector<record::RecallProbe> out;
  if (instructions.empty()) return out;
  model::ConversationEncoder asked = session.encoder();
  model::TurnInput question;
  question.parts = reminders;
  question.parts.push_back({kRecallQuestion, Role::kQuery, ""});
  engine::Sequence prompt = session.sequence().fork();
  const engine::StepLogits first =
      feed(engine, prompt, asked.user_turn(question), engine::LogitRows::kLast);
  for (const Instruction* instruction : instructions) {
    model::ConversationEncoder encoder = asked;
    const model::EncodedTurn reply = encoder.recorded_reply(instruction->text);
    engine::Sequence sequence = prompt.fork();
    const engine::StepLogits rows = feed(engine, sequence, reply, engine::LogitRows::kAll);
    record::RecallProbe probe;
    probe.instruction_id = instruction->id;
    for (size_t i = 0; i < reply.ids.size(); ++i) {
      if (reply.span_of_token[i] != encoder.reply_span()) continue;  // closing tokens
      const std::span<const float> logits = i == 0 ? first.row(0) : rows.row(0, i - 1);
      probe.loglik += engine::log_probability(logits, reply.ids[i]);
      ++probe.n_tokens;
    }
    if (probe.n_tokens > 0) probe.loglik /= probe.n_tokens;
    out.push_back(std::move(probe));
  }
  return out;
}

std::vector<Ordinal> streaming_survivors(const policy::Treatment& treatment, Ordinal next,
                                         int turn) {
  EBB_CHECK(treatment.policy == "streaming");
  const auto n = static_cast<int64_t>(next.value);
  int64_t first = policy::parse_integer(treatment.policy_params.at("keep_initial"), "keep_initial");
  int64_t recent = policy::parse_integer(treatment.policy_params.at("keep_recent"), "keep_recent");
  const policy::Budget& budget = treatment.budget;
  if (budget.kind == policy::BudgetKind::kCount || budget.kind == policy::BudgetKind::kSchedule) {
    const auto at =
        std::min(static_cast<size_t>(turn), std::max<size_t>(budget.schedule.size(), 1) - 1);
    const int64_t cells =
        budget.kind == policy::BudgetKind::kCount ? budget.count : budget.schedule[at];
    first = std::min(first, cells);
    recent = cells - first;
  }
  std::vector<Ordinal> out;
  for (int64_t o = 0; o < n; ++o) {
    if (n <= first + recent || o < first || o >= n - recent) {
      out.push_back(Ordinal{static_cast<uint32_t>(o)});
    }
  }
  return out;
}

}  // namespace ebb::experiment
