// Arms that have not been treated differently yet are one session; this takes them apart.
#include <utility>

#include "base/error.h"
#include "engine/session.h"
#include "policy/needs.h"
#include "policy/treatment_text.h"

namespace ebb::engine {
namespace {

bool same_sampling(const Sampling& a, const Sampling& b) {
  if (a.temperature == 0 && b.temperature == 0) return true;  // greedy: nothing is drawn
  return a.temperature == b.temperature && a.top_p == b.top_p && a.seed == b.seed;
}

}  // namespace

Session::Session(const Session& source, SessionOptions options, policy::Evictor evictor,
                 Sequence sequence)
    : tokenizer_(source.tokenizer_),
      options_(std::move(options)),
      encoder_(source.encoder_),
      evictor_(std::move(evictor)),
      sampler_(options_.sampling, options_.conversation_id),
      sequence_(std::move(sequence)),
      n_new_max_(source.n_new_max_),
      n_steps_(source.n_steps_),
      turn_begin_(source.turn_begin_),
      turns_(source.turns_) {}

bool Session::is_same_arm(const SessionOptions& options) const {
  return options.seed == options_.seed && options.treatment.policy == options_.treatment.policy &&
         policy::settings_of(options.treatment) == policy::settings_of(options_.treatment);
}

std::string Session::why_no_fork(const SessionOptions& options) const {
  if (!is_idle()) return "a turn is under way";
  if (options.conversation_id != options_.conversation_id ||
      !same_sampling(options.sampling, options_.sampling)) {
    return "another conversation or another sampling";
  }
  if (is_same_arm(options)) return "";  // a copy
  if (!sequence_.is_whole()) return "a treatment has removed cells already";
  if (turns_.size() > 1) return "its first event would have been at the end of the first turn";
  if (turns_.size() == 1 && policy::sees_query(options.treatment)) {
    return "it acts within a turn, and the first turn is over";
  }
  if (turns_.size() == 1 && options_.treatment.trigger.prompt_block > 0) {
    return "the first prompt was taken in blocks";
  }
  const policy::Needs wanted =
      policy::union_of(policy::needs_of(options.treatment), options.extra_needs);
  const SequenceSignals* signals = sequence_.signals();
  if (!policy::covers(signals != nullptr ? signals->needs() : policy::Needs{}, wanted)) {
    return "it needs signals that were not gathered; expected them in extra_needs";
  }
  const policy::Observe observe = options.treatment.observe;
  if (!turns_.empty() && wanted.attention_window > 0 && observe != policy::Observe::kRawTail &&
      observe != options_.treatment.observe) {
    return "it observes other queries than those that were gathered";
  }
  return "";
}

std::unique_ptr<Session> Session::fork(const Engine& engine, SessionOptions options) const {
  const std::string reason = why_no_fork(options);
  if (!reason.empty()) {
    throw Error::make(ErrorKind::kUsage, "conversation '{}': no fork from '{}' to '{}': {}",
                      options_.conversation_id, options_.treatment.name, options.treatment.name,
                      reason);
  }
  if (is_same_arm(options)) {
    std::unique_ptr<Session> copy(new Session(*this, options_, evictor_.clone(), sequence_.fork()));
    copy->n_left_window_seen_ = n_left_window_seen_;
    copy->n_events_ = n_events_;
    return copy;
  }
  policy::Evictor evictor(options.treatment, engine.cache_shape(), options.seed,
                          options.conversation_id);
  const policy::Needs needs = policy::union_of(evictor.needs(), options.extra_needs);
  const WindowOf window = options.treatment.observe == policy::Observe::kRawTail
                              ? WindowOf::kTail
                              : WindowOf::kObserved;
  Sequence sequence = sequence_.fork(options.treatment.positions, needs, window);
  std::unique_ptr<Session> out(
      new Session(*this, std::move(options), std::move(evictor), std::move(sequence)));
  if (!out->turns_.empty()) {
    out->turns_.back().events.clear();
    out->end_turn(engine);
  }
  return out;
}

}  // namespace ebb::engine
