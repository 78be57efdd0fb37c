#include "engine/session.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "engine/cache_source.h"
#include "policy/needs.h"

namespace ebb::engine {

Session::Session(const Engine& engine, std::shared_ptr<const model::Tokenizer> tokenizer,
                 const model::ChatFormat& format, SessionOptions options)
    : tokenizer_(std::move(tokenizer)),
      options_(std::move(options)),
      encoder_(tokenizer_, format),
      evictor_(options_.treatment, engine.cache_shape(), options_.seed, options_.conversation_id),
      sampler_(options_.sampling, options_.conversation_id),
      sequence_(engine.make_sequence(options_.treatment.positions,
                                     policy::union_of(evictor_.needs(), options_.extra_needs))) {}

void Session::queue(const model::EncodedTurn& encoded) {
  for (size_t i = 0; i < encoded.ids.size(); ++i)
    queue_token(encoded.ids[i], encoded.span_of_token[i]);
}

void Session::queue_token(int32_t id, uint16_t span) {
  pending_ids_.push_back(id);
  pending_spans_.push_back(SpanId{span});
  pending_observed_.push_back(is_observed(encoder_.spans()[span].role));
}

uint8_t Session::is_observed(Role role) const {
  switch (options_.treatment.observe) {
    case policy::Observe::kRawTail:
      return 1;
    case policy::Observe::kLastReplyTokens:
      return role == Role::kReply ? 1 : 0;
    case policy::Observe::kLastUserTokens:
      return role == Role::kInstruction || role == Role::kContent || role == Role::kQuery ? 1 : 0;
  }
  return 1;
}

void Session::begin_turn(const model::TurnInput& input, int n_new_max) {
  EBB_CHECK(is_idle());
  if (n_new_max < 1) {
    throw Error::make(ErrorKind::kUsage, "new tokens per turn: found {}, expected at least 1",
                      n_new_max);
  }
  const model::EncodedTurn prompt = encoder_.user_turn(input);
  TurnRecord record;
  record.turn = encoder_.n_turns() - 1;
  record.n_prompt_tokens = static_cast<int>(prompt.ids.size());
  turns_.push_back(std::move(record));
  turn_begin_ = sequence_.next_ordinal();
  n_new_max_ = n_new_max;
  n_steps_ = 0;
  generated_.clear();
  queue(prompt);
  state_ = State::kPrompt;
}

void Session::begin_recorded_turn(const model::TurnInput& input, std::string_view reply) {
  begin_turn(input, 1);
  recorded_ = encoder_.recorded_reply(reply);
  n_recorded_ = 0;
  for (size_t i = 0; i < recorded_->ids.size(); ++i) {
    if (recorded_->span_of_token[i] == encoder_.reply_span()) n_recorded_ = i + 1;
  }
  turns_.back().stop = StopReason::kRecorded;
  if (!decodes_one_by_one() || n_recorded_ == 0) return;
  // What may happen between two reply tokens happens between recorded ones too.
  n_new_max_ = static_cast<int>(n_recorded_);
  forced_.assign(recorded_->ids.begin(),
                 recorded_->ids.begin() + static_cast<ptrdiff_t>(n_recorded_));
}

void Session::begin_forced_turn(const model::TurnInput& input, std::vector<int32_t> generated_ids) {
  EBB_CHECK(!generated_ids.empty());
  begin_turn(input, static_cast<int>(generated_ids.size()));
  forced_ = std::move(generated_ids);
}

void Session::reencode(Engine& engine, std::span<const Ordinal> ordinals) {
  EBB_CHECK(is_idle());
  std::vector<int32_t> ids;
  std::vector<SpanId> spans;
  for (const Ordinal ordinal : ordinals) {
    ids.push_back(sequence_.ids().at(ordinal.value));
    spans.push_back(sequence_.span_of_token().at(ordinal.value));
  }
  Sequence anew = engine.make_sequence(options_.treatment.positions, evictor_.needs());
  if (!ids.empty()) {
    const StepItem item{&anew, ids, spans, LogitRows::kNone};
    engine.step(std::span(&item, 1));
  }
  sequence_ = std::move(anew);
  n_left_window_seen_ = sequence_.n_left_window();
  if (turns_.empty()) return;
  turns_.back().bytes_cells = sequence_.cells().bytes_cells();
  turns_.back().bytes_alone = sequence_.bytes_alone();
}

std::vector<LayerCells> Session::count_layers() const {
  std::vector<LayerCells> out;
  for (int layer = 0; layer < sequence_.cells().shape().n_layers(); ++layer) {
    const kv::LayerCount count = sequence_.cells().count(layer);
    out.push_back({count, count});
  }
  return out;
}

StepItem Session::next_item(Engine& engine) {
  EBB_CHECK(!is_idle() && !pending_ids_.empty());
  const policy::Trigger& trigger = options_.treatment.trigger;
  n_taken_ = pending_ids_.size();
  if (state_ == State::kPrompt && trigger.prompt_block > 0) {
    n_taken_ = std::min(n_taken_, static_cast<size_t>(trigger.prompt_block));
  }
  if (state_ != State::kPrompt && trigger.at_cap) {
    run_event(engine, policy::EventKind::kCap, static_cast<int64_t>(n_taken_));
  }
  const bool ends_prompt = state_ == State::kPrompt && n_taken_ == pending_ids_.size();
  const bool wants =
      (ends_prompt || state_ == State::kReply) && (!recorded_ || wants_reply_logits_);
  const bool is_known_reply =
      state_ == State::kClosing && turns_.back().generated_ids.empty() && wants_reply_logits_;
  const LogitRows rows = is_known_reply ? LogitRows::kAll
                         : wants        ? LogitRows::kLast
                                        : LogitRows::kNone;
  return {&sequence_, std::span(pending_ids_).first(n_taken_),
          std::span(pending_spans_).first(n_taken_), rows,
          std::span(pending_observed_).first(n_taken_)};
}

void Session::accept(Engine& engine, std::span<const float> logits) {
  pending_ids_.erase(pending_ids_.begin(), pending_ids_.begin() + static_cast<ptrdiff_t>(n_taken_));
  pending_spans_.erase(pending_spans_.begin(),
                       pending_spans_.begin() + static_cast<ptrdiff_t>(n_taken_));
  pending_observed_.erase(pending_observed_.begin(),
                          pending_observed_.begin() + static_cast<ptrdiff_t>(n_taken_));
  TurnRecord& record = turns_.back();
  const uint64_t n_cells = sequence_.cells().n_cells_total();
  record.n_cells_peak = std::max(record.n_cells_peak, n_cells);
  record.n_cells_mean += (static_cast<double>(n_cells) - record.n_cells_mean) / ++n_steps_;
  if (!pending_ids_.empty()) {  // a block of the prompt
    run_event(engine, policy::EventKind::kPromptBlock, 0);
    return;
  }
  if (state_ == State::kClosing) {
    end_turn(engine);
    return;
  }
  if (state_ == State::kPrompt) {
    // The first reply token comes from the full cache: its logits exist already.
    run_event(engine, policy::EventKind::kPromptEnd, 0);
    record.reply_begin = sequence_.next_ordinal();
    state_ = State::kReply;
    if ((recorded_ && forced_.empty()) || (!forced_.empty() && !decodes_one_by_one())) {
      queue_known_reply();
      return;
    }
  } else if (options_.treatment.trigger.every_n > 0 &&
             static_cast<int64_t>(generated_.size()) % options_.treatment.trigger.every_n == 0) {
    run_event(engine, policy::EventKind::kEveryN, 0);
  }
  const int32_t id = next_token(logits);
  queue_token(id, recorded_ ? recorded_->span_of_token[generated_.size()] : encoder_.reply_span());
  generated_.push_back(id);
  const bool is_end = !recorded_ && tokenizer_->is_end_of_generation(id);
  if (is_end || static_cast<int>(generated_.size()) == n_new_max_) {
    if (!recorded_) record.stop = is_end ? StopReason::kEndToken : StopReason::kLength;
    end_reply();
  }
}

int32_t Session::next_token(std::span<const float> logits) const {
  if (!forced_.empty()) return forced_[generated_.size()];
  return sampler_.pick(logits, turns_.back().turn, static_cast<int>(generated_.size()));
}

// Whether something may happen between two reply tokens.
bool Session::decodes_one_by_one() const {
  return options_.treatment.trigger.at_cap || options_.treatment.trigger.every_n > 0;
}

// A reply that is known beforehand, in one piece with its closing tokens.
void Session::queue_known_reply() {
  TurnRecord& record = turns_.back();
  if (recorded_) {
    record.reply_ids.assign(recorded_->ids.begin(),
                            recorded_->ids.begin() + static_cast<ptrdiff_t>(n_recorded_));
    queue(*recorded_);
    recorded_.reset();
  } else {
    for (const int32_t id : forced_) queue_token(id, encoder_.reply_span());
    queue(encoder_.closing(forced_));
    const bool has_end = tokenizer_->is_end_of_generation(forced_.back());
    record.stop = has_end ? StopReason::kEndToken : StopReason::kLength;
    record.reply_ids.assign(forced_.begin(), forced_.end() - (has_end ? 1 : 0));
    forced_.clear();
  }
  state_ = State::kClosing;
}

// The last generated token and the closing template tokens enter the cache before any eviction.
void Session::end_reply() {
  turns_.back().reply_ids = generated_;
  forced_.clear();
  state_ = State::kClosing;
  if (recorded_) {
    for (size_t i = n_recorded_; i < recorded_->ids.size(); ++i) {
      queue_token(recorded_->ids[i], recorded_->span_of_token[i]);
    }
    recorded_.reset();
    return;
  }
  queue(encoder_.closing(generated_));
  turns_.back().generated_ids = generated_;
  if (turns_.back().stop == StopReason::kEndToken) turns_.back().reply_ids.pop_back();
}

void Session::end_turn(const Engine& engine) {
  TurnRecord& record = turns_.back();
  record.layers = count_layers();
  run_event(engine, policy::EventKind::kTurnEnd, 0);
  for (size_t i = 0; i < record.layers.size(); ++i) {
    record.layers[i].after = sequence_.cells().count(static_cast<int>(i));
  }
  record.bytes_cells = sequence_.cells().bytes_cells();
  record.bytes_alone = sequence_.bytes_alone();
  state_ = State::kIdle;
}

std::vector<policy::SpanInfo> Session::span_infos() const {
  std::vector<policy::SpanInfo> spans;
  for (const model::TurnSpan& span : encoder_.spans()) {
    spans.push_back({span.role, span.turn, span.instruction_id});
  }
  return spans;
}

policy::EventInfo Session::event_info(policy::EventKind kind, int event_index,
                                      std::span<const policy::SpanInfo> spans) const {
  policy::EventInfo info;
  info.kind = kind;
  info.event_index = event_index;
  info.turn = turns_.back().turn;
  info.n_logical = sequence_.next_ordinal().value;
  info.n_prompt = turns_.back().n_prompt_tokens;
  info.turn_begin = turn_begin_;
  info.spans = spans;
  return info;
}

uint64_t Session::evict_now(Engine& engine, policy::Evictor& evictor, int event_index) {
  if (!is_idle() || turns_.empty()) {
    throw Error(ErrorKind::kUsage, "nothing to evict from: no turn has been finished yet");
  }
  const std::vector<policy::SpanInfo> spans = span_infos();
  EngineCacheSource source(engine, sequence_, evictor.needs());
  const auto plan =
      evictor.plan(source, event_info(policy::EventKind::kTurnEnd, event_index, spans));
  return engine.evict(sequence_, plan).n_by_treatment;
}

bool Session::keeps_everything(const policy::EvictionPlan& plan) const {
  const kv::SequenceCells& cells = sequence_.cells();
  for (int layer = 0; layer < cells.shape().n_layers(); ++layer) {
    for (int head = 0; head < cells.shape().n_kv_heads; ++head) {
      const auto& kept = plan.kept[static_cast<size_t>(layer)][static_cast<size_t>(head)];
      if (kept.size() != cells.head(layer, head).n_cells()) return false;
    }
  }
  return true;
}

void Session::run_event(const Engine& engine, policy::EventKind kind, int64_t n_incoming) {
  if (!evictor_.acts_on(kind)) return;
  const std::vector<policy::SpanInfo> spans = span_infos();
  TurnRecord& turn = turns_.back();
  policy::EventInfo info = event_info(kind, n_events_++, spans);
  info.n_incoming = n_incoming;
  EngineCacheSource source(engine, sequence_, evictor_.needs());
  const policy::EvictionPlan plan = evictor_.plan(source, info);
  // A cap is asked before every token; only what it did is an event to remember.
  if (kind == policy::EventKind::kCap && keeps_everything(plan)) return;
  EventRecord event;
  event.kind = kind;
  event.turn = turn.turn;
  event.n_logical = info.n_logical;
  event.layers = count_layers();
  event.n_cells_before = sequence_.cells().n_cells_total();
  event.span_cells_before = cells_by_span(sequence_.cells(), spans.size());
  event.loss = engine.evict(sequence_, plan);
  event.loss.n_by_architecture = sequence_.n_left_window() - n_left_window_seen_;
  n_left_window_seen_ = sequence_.n_left_window();
  event.n_cells_after = sequence_.cells().n_cells_total();
  event.span_cells_after = cells_by_span(sequence_.cells(), spans.size());
  event.kept = kept_ranges(sequence_.cells());
  for (size_t i = 0; i < event.layers.size(); ++i) {
    event.layers[i].after = sequence_.cells().count(static_cast<int>(i));
  }
  event.notices = plan.notices;
  if (!source.notice().empty()) event.notices.push_back(source.notice());
  turn.events.push_back(std::move(event));
}

void run_until_idle(Engine& engine, std::span<Session* const> sessions,
                    const std::function<void()>& on_step) {
  while (true) {
    std::vector<StepItem> items;
    std::vector<Session*> active;
    for (Session* session : sessions) {
      if (session->is_idle()) continue;
      items.push_back(session->next_item(engine));
      active.push_back(session);
    }
    if (active.empty()) return;
    const StepLogits logits = engine.step(items);
    for (size_t i = 0; i < active.size(); ++i) {
      active[i]->accept(engine, logits.n_rows(i) > 0 ? logits.row(i) : std::span<const float>{});
    }
    if (on_step) on_step();
  }
}

}  // namespace ebb::engine
