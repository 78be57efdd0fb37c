// One conversation under one treatment: turns in, replies out, cells evicted where the treatment
// says. It never computes on its own: a driver advances many sessions in one batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/audit.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "model/chat_template_turns.h"
#include "policy/evictor.h"

namespace ebb::engine {

// Cells of one layer before and after an event.
struct LayerCells {
  kv::LayerCount before;
  kv::LayerCount after;
};

// One event at which a policy ran.
struct EventRecord {
  policy::EventKind kind = policy::EventKind::kTurnEnd;
  int turn = 0;
  int64_t n_logical = 0;  // tokens seen so far
  uint64_t n_cells_before = 0;
  uint64_t n_cells_after = 0;
  kv::CellLoss loss;
  std::vector<LayerCells> layers;    // [n_layers]
  std::vector<std::string> notices;  // what the treatment wants a person to know
  // Over all layers and heads, indexed by span.  [n_spans]
  std::vector<uint64_t> span_cells_before;
  std::vector<uint64_t> span_cells_after;
  KeptRanges kept;  // the ordinals that stay
};

enum class StopReason { kEndToken, kLength, kRecorded };

struct TurnRecord {
  int turn = 0;
  int n_prompt_tokens = 0;
  std::vector<int32_t> reply_ids;      // without end token and closing tokens
  std::vector<int32_t> generated_ids;  // with it; empty for a recorded reply
  StopReason stop = StopReason::kLength;
  Ordinal reply_begin;             // ordinal of the first reply token
  std::vector<LayerCells> layers;  // at the end of the turn, around the turn-end event
  size_t bytes_cells = 0;          // exact bytes of the cells after the turn
  size_t bytes_alone = 0;          // with page slack and derived keys
  uint64_t n_cells_peak = 0;       // over all layers and heads, at any step of the turn
  double n_cells_mean = 0;         // the same, averaged over the steps of the turn
  std::vector<EventRecord> events;
};

struct SessionOptions {
  std::string conversation_id;
  policy::Treatment treatment;
  uint64_t seed = 0;  // of the eviction; sampling has its own
  Sampling sampling;
  // Signals to gather beside the treatment's own, for the treatments of later forks.
  policy::Needs extra_needs = {};
};

class Session {
 public:
  Session(const Engine& engine, std::shared_ptr<const model::Tokenizer> tokenizer,
          const model::ChatFormat& format, SessionOptions options);

  // Queues the prompt of the next turn.  Requires: is_idle().
  void begin_turn(const model::TurnInput& input, int n_new_max);
  // Queues a recorded reply instead of generating one; its tokens count as the reply's.
  void begin_recorded_turn(const model::TurnInput& input, std::string_view reply);
  // Queues another session's generated tokens (end token included) as if they had been sampled
  // here: teacher forcing.  Requires: at least one token.
  void begin_forced_turn(const model::TurnInput& input, std::vector<int32_t> generated_ids);
  // From the next turn on: the logits that predict each reply token are asked for, also of recorded
  // and forced replies.
  void want_reply_logits(bool wants) { wants_reply_logits_ = wants; }
  // Throws away all cells and computes the given tokens anew, as a text in which nothing else ever
  // stood: what removing text does, beside evicting cells.  ordinals: ascending, of this sequence.
  // Requires: is_idle().
  void reencode(Engine& engine, std::span<const Ordinal> ordinals);
  bool is_idle() const { return state_ == State::kIdle; }

  // What the next step must compute. May run an event first (a cap, a block of the prompt).
  StepItem next_item(Engine& engine);
  // Takes the logits of that step (may be empty where none were asked for).
  void accept(Engine& engine, std::span<const float> logits);

  // Runs one event of another treatment between two turns; nothing is recorded. Only policies that
  // need no signals can be asked this way.  Requires: is_idle(), a turn.  Returns how many cells
  // went.
  uint64_t evict_now(Engine& engine, policy::Evictor& evictor, int event_index);

  // A session that goes on from here under options.treatment and options.seed, sharing all pages.
  // While no treatment has removed anything, and at most one turn is over, it is what a session
  // of its own would be: the turn-end event of the turn runs now, and the turn's record is its
  // own. A session of the same treatment and seed can be copied at any turn.
  // Requires: is_idle().  Throws: kUsage with the reason of why_no_fork().
  std::unique_ptr<Session> fork(const Engine& engine, SessionOptions options) const;
  // Why such a fork would differ from a session of its own, or "".
  std::string why_no_fork(const SessionOptions& options) const;

  const Sequence& sequence() const { return sequence_; }
  const std::vector<TurnRecord>& turns() const { return turns_; }
  const std::vector<model::TurnSpan>& spans() const { return encoder_.spans(); }
  const model::ConversationEncoder& encoder() const { return encoder_; }
  const SessionOptions& options() const { return options_; }

 private:
  enum class State { kIdle, kPrompt, kReply, kClosing };

  // A fork: everything of `source` except what follows from the treatment.
  Session(const Session& source, SessionOptions options, policy::Evictor evictor,
          Sequence sequence);
  bool is_same_arm(const SessionOptions& options) const;
  void queue(const model::EncodedTurn& encoded);
  void queue_token(int32_t id, uint16_t span);
  // Whether a query of this role counts for the treatment's window.
  uint8_t is_observed(Role role) const;
  // The reply token after those generated so far.
  int32_t next_token(std::span<const float> logits) const;
  void queue_known_reply();
  bool decodes_one_by_one() const;
  void end_reply();
  void end_turn(const Engine& engine);
  bool keeps_everything(const policy::EvictionPlan& plan) const;
  void run_event(const Engine& engine, policy::EventKind kind, int64_t n_incoming);
  policy::EventInfo event_info(policy::EventKind kind, int event_index,
                               std::span<const policy::SpanInfo> spans) const;
  std::vector<policy::SpanInfo> span_infos() const;
  std::vector<LayerCells> count_layers() const;

  std::shared_ptr<const model::Tokenizer> tokenizer_;
  SessionOptions options_;
  model::ConversationEncoder encoder_;
  policy::Evictor evictor_;
  Sampler sampler_;
  Sequence sequence_;
  State state_ = State::kIdle;
  std::vector<int32_t> pending_ids_;
  std::vector<SpanId> pending_spans_;
  std::vector<uint8_t> pending_observed_;
  size_t n_taken_ = 0;  // of pending, handed to the step under way
  std::vector<int32_t> generated_;
  std::optional<model::EncodedTurn> recorded_;
  size_t n_recorded_ = 0;        // tokens of recorded_ before its closing ones
  std::vector<int32_t> forced_;  // in place of sampling; empty: sample
  bool wants_reply_logits_ = false;
  int n_new_max_ = 0;
  uint64_t n_left_window_seen_ = 0;  // at the event before
  int n_events_ = 0;
  int n_steps_ = 0;  // of the newest turn
  Ordinal turn_begin_;
  std::vector<TurnRecord> turns_;
};

// Advances every session that is not idle until all are, in common steps of at most the engine's
// n_rows_max tokens where prompts are cut. `on_step`, if given, is called after each step.
void run_until_idle(Engine& engine, std::span<Session* const> sessions,
                    const std::function<void()>& on_step = {});

}  // namespace ebb::engine
