#include "experiment/study_plan.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "experiment/arm_input.h"
#include "experiment/recall.h"
#include "experiment/run_shape.h"
#include "policy/matched.h"
#include "policy/needs.h"

namespace ebb::experiment {
namespace {

constexpr int kClosingTokens = 8;  // of a template, around a reply; at most
constexpr int64_t kProbePromptMax = 256;
constexpr int kProbeSteps = 4;

// Tokens of one exchange.
struct TurnTokens {
  int64_t prompt = 0;  // with what closes the turn
  int64_t recorded = 0;
  int64_t generated = 0;

  int64_t all() const { return prompt + recorded + generated; }
};

class ConversationPlan {
 public:
  ConversationPlan(const StudyContext& context, const Conversation& conversation)
      : context_(context),
        study_(*context.study),
        conversation_(conversation),
        shape_(run_shape(study_, conversation)) {
    int64_t n = 0;
    for (const TurnTokens& turn : turns_of(StudyArmKind::kBaseline)) {
      baseline_lengths_.push_back(n += turn.all());
    }
    if (study_.measures.recall) n_probe_ = tokens_of_probes();
  }

  // Sequences of one unit that exist at once.
  int64_t n_lanes(const StudyArm& arm) const { return is_measured_apart(arm) ? 2 : 1; }
  // Of all baselines: one for each token of a generated reply.
  uint64_t n_kept_logit_rows() const {
    const auto n_replies =
        std::count(shape_.is_generated.begin(),
                   shape_.is_generated.begin() + static_cast<std::ptrdiff_t>(shape_.n_turns), true);
    const size_t n_baselines = study_.sampling.temperature > 0 ? study_.seeds.size() : 1;
    return static_cast<uint64_t>(n_replies) * static_cast<uint64_t>(study_.max_new) * n_baselines;
  }

  // Adds one arm with all its seeds; returns the tokens of one conversation.
  int64_t add(const StudyArm& arm, StudyPlan& plan) const {
    const auto n_seeds = static_cast<int64_t>(seeds_of(study_, arm).size());
    const std::vector<TurnTokens> turns = turns_of(arm.kind);
    StudyPlan one;
    int64_t n = 0;
    for (size_t t = 0; t < shape_.n_turns; ++t) {
      n += turns[t].all();
      add_turn(arm, turns[t], t, one);
    }
    one.n_prompt_tokens += n_probe_;
    if (arm.kind == StudyArmKind::kTextRemoval) one.n_prompt_tokens += tokens_reencoded(arm);
    plan.n_units += static_cast<size_t>(n_seeds);
    plan.n_prompt_tokens += n_seeds * one.n_prompt_tokens;
    plan.n_reply_tokens += n_seeds * one.n_reply_tokens;
    const TurnTokens shared = tokens_shared(arm, turns);
    const int64_t n_shared_reply = shares_forced(arm) ? 0 : shared.generated;
    plan.n_shared_prompt += n_seeds * (shared.all() - n_shared_reply);
    plan.n_shared_reply += n_seeds * n_shared_reply;
    return n;
  }

 private:
  int64_t n_tokens(const std::vector<model::Piece>& pieces) const {
    return static_cast<int64_t>(model::encode_pieces(*context_.tokenizer, pieces).ids.size());
  }

  std::vector<TurnTokens> turns_of(StudyArmKind kind) const {
    std::vector<TurnTokens> out;
    auto place = model::TurnPlace::kFirst;
    for (const Exchange& exchange : exchanges_for(conversation_, kind)) {
      TurnTokens turn;
      turn.prompt = n_tokens(model::render_user_turn(context_.format, place, exchange.input)) +
                    kClosingTokens;
      place = model::TurnPlace::kLater;
      if (shape_.is_generated[out.size()]) {
        turn.generated = study_.max_new;
      } else {
        turn.recorded = n_tokens(model::render_reply(context_.format, *exchange.recorded_reply));
      }
      out.push_back(turn);
    }
    return out;
  }

  int64_t tokens_of_probes() const {
    model::TurnInput question;
    question.parts.push_back({kRecallQuestion, Role::kQuery, ""});
    const auto asked = model::render_user_turn(context_.format, model::TurnPlace::kLater, question);
    int64_t n = n_tokens(asked);
    for (const Instruction* instruction : all_instructions(conversation_)) {
      n += n_tokens(model::render_reply(context_.format, instruction->text));
    }
    return n;
  }

  bool is_measured_apart(const StudyArm& arm) const {
    return shape_.has_own_history && study_.measures.generate &&
           arm.kind != StudyArmKind::kBaseline &&
           (needs_fidelity(study_, arm.kind) || study_.measures.recall);
  }

  void add_turn(const StudyArm& arm, const TurnTokens& turn, size_t t, StudyPlan& one) const {
    const bool is_last = t + 1 == shape_.turn_ids.size();
    const bool is_forced = arm.kind != StudyArmKind::kBaseline &&
                           (!study_.measures.generate || (!shape_.has_own_history && !is_last));
    one.n_prompt_tokens += turn.prompt + turn.recorded + (is_forced ? turn.generated : 0);
    one.n_reply_tokens += is_forced ? 0 : turn.generated;
    // A second lane follows the baseline's words: all the way, or through the last turn only.
    const bool splits = is_last && study_.measures.generate && needs_fidelity(study_, arm.kind);
    if (is_measured_apart(arm) || (!shape_.has_own_history && splits)) {
      one.n_prompt_tokens += turn.all();
    }
  }

  int64_t tokens_reencoded(const StudyArm& arm) const {
    const auto of = std::find_if(study_.arms.begin(), study_.arms.end(),
                                 [&](const StudyArm& other) { return other.name == arm.repeats; });
    std::vector<int64_t> schedule;
    if (!of->share.empty()) {
      schedule = policy::match_lengths(baseline_lengths_, Ratio::parse(of->share)).schedule;
    }
    const policy::Treatment treatment = treatment_of(*of, schedule);
    int64_t n_kept = 0;
    int64_t sum = 0;
    for (size_t t = 0; t < shape_.n_turns; ++t) {
      const int64_t before = t == 0 ? 0 : baseline_lengths_[t - 1];
      const int64_t next = n_kept + baseline_lengths_[t] - before;
      const auto kept =
          streaming_survivors(treatment, Ordinal{static_cast<uint32_t>(next)}, static_cast<int>(t));
      n_kept = static_cast<int64_t>(kept.size());
      if (n_kept < next) sum += n_kept;
    }
    return sum;
  }

  // Whether the lanes that share would have computed the replies in one piece.
  bool shares_forced(const StudyArm& arm) const {
    return !shape_.has_own_history || !study_.measures.generate || is_measured_apart(arm);
  }

  TurnTokens tokens_shared(const StudyArm& arm, const std::vector<TurnTokens>& turns) const {
    TurnTokens out;
    if (context_.sharing == Sharing::kOff) return out;
    const auto add = [&](const TurnTokens& turn) {
      const int n_lanes = is_measured_apart(arm) ? 2 : 1;
      out.prompt += n_lanes * turn.prompt;
      out.recorded += n_lanes * turn.recorded;
      out.generated += n_lanes * turn.generated;
    };
    if (arm.kind == StudyArmKind::kReminder) {
      if (study_.history == History::kForced && shape_.generates_before_last) return out;
      for (size_t t = 0; t + 1 < turns.size(); ++t) add(turns[t]);
      return out;
    }
    const bool follows =
        arm.kind == StudyArmKind::kTreatment || arm.kind == StudyArmKind::kTextRemoval;
    if (follows && !policy::sees_query(treatment_of(arm, {1}))) add(turns.front());
    return out;
  }

  const StudyContext& context_;
  const Study& study_;
  const Conversation& conversation_;
  RunShape shape_;
  std::vector<int64_t> baseline_lengths_;
  int64_t n_probe_ = 0;
};

// The baseline gathers what the arms need that share its first turn.
std::vector<engine::SequenceNeed> sequences_of(const Study& study, const ConversationPlan& planned,
                                               const std::vector<int64_t>& n_tokens) {
  policy::Needs shared;
  for (const StudyArm& arm : study.arms) {
    const policy::Needs needs = policy::needs_of(treatment_of(arm, {1}));
    if (policy::can_share(shared, needs)) shared = policy::union_of(shared, needs);
  }
  std::vector<engine::SequenceNeed> out;
  for (size_t i = 0; i < study.arms.size(); ++i) {
    const StudyArm& arm = study.arms[i];
    const policy::Treatment treatment = treatment_of(arm, {1});
    const bool is_baseline = arm.kind == StudyArmKind::kBaseline;
    const engine::SequenceNeed need{.n_cells = n_tokens[i],
                                    .positions = treatment.positions,
                                    .needs = is_baseline ? shared : policy::needs_of(treatment)};
    out.insert(out.end(), seeds_of(study, arm).size() * static_cast<size_t>(planned.n_lanes(arm)),
               need);
  }
  return out;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

StudyPlan plan_study(const StudyContext& context, const std::vector<Conversation>& conversations) {
  StudyPlan plan;
  const Study& study = *context.study;
  const policy::CacheShape shape = context.engine->cache_shape();
  const uint64_t bytes_token = static_cast<uint64_t>(shape.n_layers) *
                               static_cast<uint64_t>(shape.n_kv_heads) * shape.cell_bytes;
  const model::ModelConfig& config = context.engine->config();
  int64_t n_all = 0;
  for (const Conversation& conversation : conversations) {
    ++plan.n_families;
    const ConversationPlan planned(context, conversation);
    int64_t n_family = 0;
    std::vector<int64_t> n_tokens;
    for (const StudyArm& arm : study.arms) {
      const int64_t n = n_tokens.emplace_back(planned.add(arm, plan));
      plan.n_tokens_longest = std::max(plan.n_tokens_longest, n);
      n_family += n * static_cast<int64_t>(seeds_of(study, arm).size()) * planned.n_lanes(arm);
      n_all += n * static_cast<int64_t>(seeds_of(study, arm).size());
    }
    const uint64_t logits =
        study.measures.fidelity
            ? planned.n_kept_logit_rows() * static_cast<uint64_t>(config.n_vocab) * sizeof(float)
            : 0;
    const uint64_t n_bytes = static_cast<uint64_t>(n_family) * bytes_token + logits;
    if (n_bytes > plan.n_bytes_family) {
      plan.n_bytes_family = n_bytes;
      plan.n_bytes_logits = logits;
      plan.family = sequences_of(study, planned, n_tokens);
    }
    if (plan.n_tokens_longest > config.n_ctx_train) {
      throw Error::make(ErrorKind::kUsage,
                        "conversation '{}' can take {} tokens; the model was trained for {}",
                        conversation.id, plan.n_tokens_longest, config.n_ctx_train);
    }
  }
  if (plan.n_units > 0) plan.n_tokens_mean = n_all / static_cast<int64_t>(plan.n_units);
  return plan;
}

SpeedProbe probe_speed(engine::Engine& engine, const StudyPlan& plan, int n_sequences) {
  SpeedProbe out;
  out.n_sequences = n_sequences;
  const int64_t n_prompt = std::clamp<int64_t>(plan.n_tokens_mean / 2, 16, kProbePromptMax);
  std::vector<int32_t> prompt(static_cast<size_t>(n_prompt));
  for (size_t i = 0; i < prompt.size(); ++i) {
    prompt[i] = static_cast<int32_t>(i * 7 % static_cast<size_t>(engine.config().n_vocab));
  }
  engine::Sequence first = engine.make_sequence(PositionMode::kOriginal);
  const std::span<const int32_t> ids = prompt;
  // The first step reads the weights from the disk: it is not timed.
  for (const size_t n_warm : {size_t{8}, prompt.size() - 8}) {
    const auto begin = std::chrono::steady_clock::now();
    const engine::StepItem item{&first, n_warm == 8 ? ids.first(8) : ids.subspan(8), {}};
    engine.step(std::span(&item, 1));
    out.prompt_tokens_per_s = static_cast<double>(n_warm) / seconds_since(begin);
  }
  std::vector<engine::Sequence> forks;
  for (int i = 0; i < n_sequences; ++i) forks.push_back(first.fork());
  const auto begin = std::chrono::steady_clock::now();
  for (int step = 0; step < kProbeSteps; ++step) {
    std::vector<engine::StepItem> items;
    for (engine::Sequence& fork : forks) items.push_back({&fork, ids.first(1), {}});
    engine.step(items);
  }
  out.reply_tokens_per_s = kProbeSteps * n_sequences / seconds_since(begin);
  return out;
}

double seconds_of(const StudyPlan& plan, const SpeedProbe& speed) {
  return static_cast<double>(plan.n_prompt_tokens - plan.n_shared_prompt) /
             speed.prompt_tokens_per_s +
         static_cast<double>(plan.n_reply_tokens - plan.n_shared_reply) / speed.reply_tokens_per_s;
}

}  // namespace ebb::experiment
