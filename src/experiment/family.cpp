#include "experiment/family.h"

#include <algorithm>

#include "base/error.h"
#include "experiment/eviction_log.h"
#include "experiment/family_unit.h"
#include "experiment/recall.h"
#include "experiment/unit_id.h"
#include "policy/needs.h"

namespace ebb::experiment {

Family::Family(const StudyContext& context, const Conversation& conversation, KeepMap keep_map)
    : context_(context),
      conversation_(conversation),
      keep_map_(keep_map),
      shape_(run_shape(*context.study, conversation)) {
  add_units();
}
Family::~Family() = default;

void Family::add_units() {
  for (const StudyArm& arm : context_.study->arms) {
    for (const uint64_t seed : seeds_of(*context_.study, arm)) {
      const UnitBuilder builder(arm.name, conversation_.id, seed, keep_map_);
      const UnitBuilder measure(arm.name, conversation_.id, seed, KeepMap::kNo);
      auto unit = std::make_unique<Unit>(
          Unit{&arm, seed, nullptr, exchanges_for(conversation_, arm.kind), {}, builder, measure});
      unit->fidelity.resize(shape_.n_turns);
      unit->turns_since_loss.resize(shape_.n_turns);
      if (arm.kind == StudyArmKind::kBaseline) references_[seed].baseline = unit.get();
      units_.push_back(std::move(unit));
    }
  }
  n_units_ = units_.size();
  EBB_CHECK(!references_.empty());
  for (auto& unit : units_) unit->reference = &reference_of(unit->seed);
  // The baselines first: every other unit may follow their words.
  for (auto& [seed, reference] : references_) {
    reference.ids.resize(shape_.n_turns);
    reference.logits.resize(shape_.n_turns);
    Unit& baseline = *reference.baseline;
    baseline.treatment = treatment_of(*baseline.arm);
    baseline.main = make_lane(baseline, baseline.builder, make_session(baseline),
                              turns_of(baseline, Replies::kOwn, shape_.n_turns), 0);
  }
}

// The baseline of the seed, or the only one.
Family::Reference& Family::reference_of(uint64_t seed) {
  const auto found = references_.find(seed);
  return found == references_.end() ? references_.begin()->second : found->second;
}

engine::SessionOptions Family::options_of(const Unit& unit) const {
  engine::SessionOptions options{.conversation_id = conversation_.id,
                                 .treatment = unit.treatment,
                                 .seed = unit.seed,
                                 .sampling = context_.study->sampling};
  options.sampling.seed = unit.seed;
  if (unit.arm->kind == StudyArmKind::kBaseline) options.extra_needs = shared_needs();
  return options;
}

policy::Needs Family::shared_needs() const {
  policy::Needs out;
  if (context_.sharing == Sharing::kOff) return out;
  for (const StudyArm& arm : context_.study->arms) {
    if (arm.kind != StudyArmKind::kTreatment) continue;
    const policy::Needs needs = policy::needs_of(treatment_of(arm, {1}));
    if (policy::can_share(out, needs)) out = policy::union_of(out, needs);
  }
  return out;
}

std::unique_ptr<engine::Session> Family::make_session(const Unit& unit) const {
  return std::make_unique<engine::Session>(*context_.engine, context_.tokenizer, context_.format,
                                           options_of(unit));
}

std::unique_ptr<engine::Session> Family::share_first_turn(const Unit& unit) {
  const bool has_same_input =
      unit.arm->kind == StudyArmKind::kTreatment || unit.arm->kind == StudyArmKind::kTextRemoval;
  const engine::Session* first_turn = unit.reference->first_turn.get();
  if (!has_same_input || first_turn == nullptr) return nullptr;
  engine::SessionOptions options = options_of(unit);
  if (!first_turn->why_no_fork(options).empty()) return nullptr;
  n_tokens_shared_ += first_turn->sequence().next_ordinal().value;
  return first_turn->fork(*context_.engine, std::move(options));
}

// A lane from the first turn on, or from the second where the first is the baseline's.
void Family::start_lane(Unit& unit, std::unique_ptr<Lane>& lane, UnitBuilder& builder,
                        std::vector<LaneTurn> turns) {
  std::unique_ptr<engine::Session> session = turns.empty() ? nullptr : share_first_turn(unit);
  if (session == nullptr) {
    lane = make_lane(unit, builder, make_session(unit), std::move(turns), 0);
    return;
  }
  const ReplyLogits& logits = unit.reference->logits.front();
  // The first turn's predictions are the baseline's own; counted once, whatever lane asks.
  const bool is_counted =
      turns.front().forced != nullptr && needs_fidelity(*context_.study, unit.arm->kind);
  for (size_t i = 0; is_counted && i < logits.n_rows(); ++i) {
    unit.fidelity.front().add(logits.row(i), logits.row(i), unit.reference->ids.front()[i]);
  }
  lane = make_lane(unit, builder, std::move(session), std::move(turns), 1);
  after_turn(unit, lane->session(), builder, 0);
}

std::vector<LaneTurn> Family::turns_of(const Unit& unit, Replies replies, size_t n_turns) const {
  std::vector<LaneTurn> out;
  for (size_t t = 0; t < n_turns; ++t) {
    LaneTurn turn{.input = &unit.exchanges[t].input};
    if (!shape_.is_generated[t]) {
      turn.recorded = unit.exchanges[t].recorded_reply;
    } else if (replies == Replies::kBaseline) {
      turn.forced = &unit.reference->ids[t];
    }
    out.push_back(std::move(turn));
  }
  return out;
}

std::unique_ptr<Lane> Family::make_lane(Unit& unit, UnitBuilder& builder,
                                        std::unique_ptr<engine::Session> session,
                                        std::vector<LaneTurn> turns, size_t first_turn) {
  std::vector<bool> row_turns(turns.size());
  const bool is_baseline = unit.arm->kind == StudyArmKind::kBaseline;
  for (size_t t = first_turn; t < turns.size(); ++t) {
    row_turns[t] = shape_.is_generated[t] &&
                   (is_baseline ? context_.study->measures.fidelity : turns[t].forced != nullptr);
  }
  const bool wants_rows = is_baseline || needs_fidelity(*context_.study, unit.arm->kind);
  auto lane = std::make_unique<Lane>(std::move(session), std::move(turns), first_turn,
                                     static_cast<int>(context_.study->max_new));
  lane->set_arm(unit.arm->name);
  Lane* const borrowed = lane.get();
  lane->on_turn([this, &unit, &builder, borrowed](size_t turn) {
    after_turn(unit, borrowed->session(), builder, turn);
  });
  if (!wants_rows) return lane;
  lane->on_row(
      [this, &unit, is_baseline](size_t turn, size_t token, std::span<const float> logits) {
        Reference& reference = *unit.reference;
        if (is_baseline) {
          reference.logits[turn].add(logits);
        } else if (token < reference.ids[turn].size()) {
          unit.fidelity[turn].add(reference.logits[turn].row(token), logits,
                                  reference.ids[turn][token]);
        }
      },
      std::move(row_turns));
  return lane;
}

bool Family::can_start(const Unit& unit) const {
  return unit.arm->match_bytes.empty() || measured_of(unit).done.has_value();
}

bool Family::start_ready(Reference& reference) {
  if (reference.all_started || !reference.baseline->done) return false;
  bool is_any = false;
  reference.all_started = true;
  for (auto& unit : units_) {
    if (unit->reference != &reference || unit->done || unit->main != nullptr) continue;
    if (!can_start(*unit)) {
      reference.all_started = false;
      continue;
    }
    is_any = true;
    try {
      start(*unit);
    } catch (const Error& error) {
      throw error.with_context(fmt::format("arm '{}'", unit->arm->name));
    }
  }
  if (reference.all_started) {  // nobody can fork from them any more
    reference.first_turn.reset();
    reference.before_last.reset();
  }
  return is_any;
}

// A reminder is the baseline until the last turn.
bool Family::start_before_last(Unit& unit) {
  const engine::Session* before_last = unit.reference->before_last.get();
  if (unit.arm->kind != StudyArmKind::kReminder || before_last == nullptr) return false;
  if (!before_last->why_no_fork(options_of(unit)).empty()) return false;
  // Forced replies take fewer steps than the baseline's, and a record has means over steps.
  if (context_.study->history == History::kForced && shape_.generates_before_last) return false;
  const size_t last = shape_.turn_ids.size() - 1;
  const Measures& measures = context_.study->measures;
  const bool saves_two = shape_.has_own_history && measures.generate && measures.recall;
  n_tokens_shared_ += int64_t{before_last->sequence().next_ordinal().value} * (saves_two ? 2 : 1);
  unit.builder = unit.reference->before_last_builder.as_of(unit.arm->name, unit.seed);
  if (measures.recall) probe(unit, *before_last, unit.builder);
  const Replies replies = measures.generate ? Replies::kOwn : Replies::kBaseline;
  unit.main =
      make_lane(unit, unit.builder, before_last->fork(*context_.engine, before_last->options()),
                turns_of(unit, replies, shape_.n_turns), last);
  return true;
}

void Family::start(Unit& unit) {
  const bool is_by_bytes = !unit.arm->match_bytes.empty();
  unit.treatment = treatment_of(
      *unit.arm, is_by_bytes ? schedule_from_bytes(unit) : schedule_of(*unit.reference, *unit.arm));
  if (start_before_last(unit)) return;
  const Measures& measures = context_.study->measures;
  if (!shape_.has_own_history) {
    unit.must_split = shape_.n_turns == shape_.turn_ids.size();
    const size_t n_before = unit.must_split ? shape_.n_turns - 1 : shape_.n_turns;
    start_lane(unit, unit.main, unit.builder, turns_of(unit, Replies::kBaseline, n_before));
    return;
  }
  const bool is_measured = needs_fidelity(*context_.study, unit.arm->kind) || measures.recall;
  unit.is_measured_apart = is_measured && measures.generate;
  const Replies replies = measures.generate ? Replies::kOwn : Replies::kBaseline;
  start_lane(unit, unit.main, unit.builder, turns_of(unit, replies, shape_.n_turns));
  if (!unit.is_measured_apart) return;
  start_lane(unit, unit.measure, unit.measure_builder,
             turns_of(unit, Replies::kBaseline, shape_.n_turns));
}

void Family::split(Unit& unit) {
  unit.must_split = false;
  const size_t last = shape_.n_turns - 1;
  std::unique_ptr<engine::Session> session = unit.main->take_session();
  const bool generates = context_.study->measures.generate;
  if (generates && needs_fidelity(*context_.study, unit.arm->kind)) {
    unit.measure_builder = unit.builder;
    unit.is_measured_apart = true;
    unit.measure =
        make_lane(unit, unit.measure_builder, session->fork(*context_.engine, session->options()),
                  turns_of(unit, Replies::kBaseline, shape_.n_turns), last);
  }
  const Replies replies = generates ? Replies::kOwn : Replies::kBaseline;
  unit.main = make_lane(unit, unit.builder, std::move(session),
                        turns_of(unit, replies, shape_.n_turns), last);
}

void Family::keep_baseline_turn(Reference& reference, const engine::Session& session, size_t turn) {
  reference.ids[turn] = session.turns().back().generated_ids;
  reference.lengths.push_back(session.sequence().next_ordinal().value);
  if (turn == 0 && context_.sharing == Sharing::kOn) {
    reference.first_turn = session.fork(*context_.engine, session.options());
  }
}

ReplyOf Family::reply_of(const Unit& unit, const UnitBuilder& builder, size_t turn) const {
  if (!shape_.is_generated[turn]) return ReplyOf::kFile;
  if (unit.arm->kind == StudyArmKind::kBaseline) return ReplyOf::kUnit;
  const bool is_measure = &builder == &unit.measure_builder;
  const bool is_last = turn + 1 == shape_.turn_ids.size();
  const bool replies = context_.study->measures.generate && (shape_.has_own_history || is_last);
  return replies && !is_measure ? ReplyOf::kUnit : ReplyOf::kBaseline;
}

void Family::after_turn(Unit& unit, engine::Session& session, UnitBuilder& builder, size_t turn) {
  const bool is_baseline = unit.arm->kind == StudyArmKind::kBaseline;
  if (is_baseline) keep_baseline_turn(*unit.reference, session, turn);
  builder.note_tokens(session, *context_.tokenizer);
  if (unit.arm->kind == StudyArmKind::kTextRemoval) remove_text(unit, session, builder);
  builder.note_turn(session, *context_.tokenizer, shape_.turn_ids, reply_of(unit, builder, turn));
  if (unit.is_measured_apart && &builder != &unit.measure_builder) return;
  unit.turns_since_loss[turn] = builder.unit().turns.back().turns_since_loss;
  if (turn + 2 != shape_.turn_ids.size()) return;
  if (context_.study->measures.recall) probe(unit, session, builder);
  if (is_baseline && context_.sharing == Sharing::kOn) {
    unit.reference->before_last = session.fork(*context_.engine, session.options());
    unit.reference->before_last_builder = builder;
  }
}

// What the arm is told once more in its last turn, and so before it is asked.
std::vector<model::Piece> Family::reminders_of(const Unit& unit) const {
  std::vector<model::Piece> out;
  if (unit.arm->kind != StudyArmKind::kReminder) return out;
  for (const Instruction* instruction :
       wanted_instructions(conversation_, *unit.exchanges.back().turn)) {
    out.push_back(reminder_of(*instruction));
  }
  return out;
}

void Family::probe(Unit& unit, const engine::Session& session, const UnitBuilder& builder) {
  const ConversationTurn& last = *unit.exchanges.back().turn;
  std::vector<const Instruction*> asked;
  for (const Instruction* instruction : all_instructions(conversation_)) {
    if (!last.instruction || last.instruction->id != instruction->id) asked.push_back(instruction);
  }
  unit.recall = probe_recall(*context_.engine, session, asked, reminders_of(unit));
  for (record::RecallProbe& one : unit.recall) {
    one.kept_share = builder.kept_share(one.instruction_id);
  }
}

std::vector<Lane*> Family::active_lanes() {
  for (bool has_started = true; has_started;) {
    for (auto& unit : units_) advance(*unit);
    has_started = false;
    for (auto& [seed, reference] : references_) {
      has_started = start_ready(reference) || has_started;
    }
  }
  std::vector<Lane*> out;
  for (const auto& unit : units_) {
    for (const auto& lane : {unit->main.get(), unit->measure.get()}) {
      if (lane != nullptr && !lane->is_done()) out.push_back(lane);
    }
  }
  return out;
}

void Family::advance(Unit& unit) {
  if (unit.done || unit.main == nullptr) return;
  if (unit.main->is_done() && unit.must_split) split(unit);
  const bool is_measured = unit.measure == nullptr || unit.measure->is_done();
  if (unit.main->is_done() && is_measured) finish(unit);
}

void Family::finish(Unit& unit) {
  record::UnitRecord& record = unit.builder.unit();
  record.recall = unit.recall;
  for (size_t t = 0; t < record.turns.size(); ++t) {
    record.turns[t].turns_since_loss = unit.turns_since_loss[t];
    const record::Fidelity fidelity = unit.fidelity[t].result();
    if (fidelity.n_tokens > 0) record.turns[t].fidelity = fidelity;
  }
  const std::string id =
      unit_id(context_.key, conversation_, *context_.study, *unit.arm, unit.seed);
  unit.done = unit.builder.finish(id);
  check_matched_bytes(unit);
  const EventLabels labels{unit.arm->name, id,
                           keep_map_ == KeepMap::kYes ? KeptForm::kRanges : KeptForm::kHash};
  for (std::string& line : eviction_lines(unit.main->session(), labels)) {
    unit.events.push_back({id, std::move(line)});
  }
  unit.main.reset();  // gives its cells back at once
  unit.measure.reset();
}

std::vector<record::UnitRecord> Family::take_units() {
  std::vector<record::UnitRecord> out;
  for (const auto& unit : units_) {
    EBB_CHECK(unit->done.has_value());
    out.push_back(std::move(*unit->done));
  }
  return out;
}

std::vector<record::EventLine> Family::take_events() {
  std::vector<record::EventLine> out;
  for (const auto& unit : units_) {
    for (record::EventLine& event : unit->events) out.push_back(std::move(event));
  }
  return out;
}

}  // namespace ebb::experiment
