// One conversation with all arms and seeds of a study: the unit of scheduling and of resume. First
// the baseline replies (once a seed where replies are sampled); then every other arm, whose forced
// turns and budgets follow the words and lengths of the baseline of its seed. It only says what to
// compute next; study_run.h drives many of them in one batch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "experiment/conversation.h"
#include "experiment/fidelity.h"
#include "experiment/lane.h"
#include "experiment/run_shape.h"
#include "experiment/study.h"
#include "experiment/unit_builder.h"
#include "model/chat_template.h"
#include "record/store.h"

namespace ebb::experiment {

// Whether arms that have not been treated differently yet are one sequence. Records are the same
// either way; kOff is there to show it.
enum class Sharing { kOn, kOff };

// What all families of a run have in common.  Everything is borrowed.
struct StudyContext {
  const Study* study = nullptr;
  engine::Engine* engine = nullptr;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  model::ChatFormat format;
  Sharing sharing = Sharing::kOn;
  std::string key;  // of everything that can change a result, but for arm, conversation and seed
};

class Family {
 public:
  Family(const StudyContext& context, const Conversation& conversation, KeepMap keep_map);
  ~Family();
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  // Lanes that have tokens to compute. Finished work leads on to the next.  Empty: the family is
  // done.
  std::vector<Lane*> active_lanes();
  const Conversation& conversation() const { return conversation_; }
  // Tokens that were taken over from the baseline's sequence instead of being computed again.
  int64_t n_tokens_shared() const { return n_tokens_shared_; }
  size_t n_units() const { return n_units_; }

  // Requires: done.
  std::vector<record::UnitRecord> take_units();
  std::vector<record::EventLine> take_events();

 private:
  struct Unit;
  // Of a baseline, for the units of its seed.
  struct Reference {
    Unit* baseline = nullptr;
    std::vector<std::vector<int32_t>> ids;         // by turn
    std::vector<ReplyLogits> logits;               // by turn
    std::vector<int64_t> lengths;                  // by turn
    std::unique_ptr<engine::Session> first_turn;   // as it was at the end of the first turn
    std::unique_ptr<engine::Session> before_last;  // and before the last one
    UnitBuilder before_last_builder;
    bool all_started = false;
  };

  // One unit an arm and seed. The baseline's lane runs first.
  void add_units();
  // Starts what waits for nothing any more; whether that was anything.
  bool start_ready(Reference& reference);
  bool can_start(const Unit& unit) const;  // of one that has not started
  void start(Unit& unit);
  // Goes on from the baseline before its last turn; false where the unit is not the same by then.
  bool start_before_last(Unit& unit);
  // The lane that has run up to the last turn goes on with it.
  void split(Unit& unit);
  void advance(Unit& unit);
  void finish(Unit& unit);
  void after_turn(Unit& unit, engine::Session& session, UnitBuilder& builder, size_t turn);
  void keep_baseline_turn(Reference& reference, const engine::Session& session, size_t turn);
  ReplyOf reply_of(const Unit& unit, const UnitBuilder& builder, size_t turn) const;
  std::vector<model::Piece> reminders_of(const Unit& unit) const;
  void probe(Unit& unit, const engine::Session& session, const UnitBuilder& builder);
  void remove_text(const Unit& unit, engine::Session& session, UnitBuilder& builder) const;

  engine::SessionOptions options_of(const Unit& unit) const;
  // Signals that the baseline gathers for arms that will share its first turn.
  policy::Needs shared_needs() const;
  std::unique_ptr<engine::Session> make_session(const Unit& unit) const;
  // The unit's session after the first turn, taken over from the baseline; null where it cannot be.
  std::unique_ptr<engine::Session> share_first_turn(const Unit& unit);
  void start_lane(Unit& unit, std::unique_ptr<Lane>& lane, UnitBuilder& builder,
                  std::vector<LaneTurn> turns);
  std::unique_ptr<Lane> make_lane(Unit& unit, UnitBuilder& builder,
                                  std::unique_ptr<engine::Session> session,
                                  std::vector<LaneTurn> turns, size_t first_turn);
  enum class Replies { kOwn, kBaseline };  // where the file gives none
  std::vector<LaneTurn> turns_of(const Unit& unit, Replies replies, size_t n_turns) const;
  std::vector<int64_t> schedule_of(const Reference& reference, const StudyArm& arm) const;
  std::vector<int64_t> schedule_from_bytes(const Unit& unit) const;
  // Throws: kInternal where a unit holds more than the bytes that it is matched to.
  void check_matched_bytes(const Unit& unit) const;
  // The unit whose bytes give the budget: of the same seed, or of the arm's only one.
  const Unit& measured_of(const Unit& unit) const;

  const StudyContext& context_;
  const Conversation& conversation_;
  KeepMap keep_map_;
  RunShape shape_;
  size_t n_units_ = 0;
  int64_t n_tokens_shared_ = 0;
  std::vector<std::unique_ptr<Unit>> units_;
  Reference& reference_of(uint64_t seed);
  std::map<uint64_t, Reference> references_;  // by seed; one where nothing is sampled
};

}  // namespace ebb::experiment
