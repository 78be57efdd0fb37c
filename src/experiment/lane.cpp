#include "experiment/lane.h"

#include "base/error.h"

namespace ebb::experiment {

Lane::Lane(std::unique_ptr<engine::Session> session, std::vector<LaneTurn> turns, size_t first_turn,
           int n_new_max)
    : session_(std::move(session)),
      turns_(std::move(turns)),
      turn_(first_turn),
      n_new_max_(n_new_max) {}

void Lane::on_row(RowHook rows, std::vector<bool> row_turns) {
  row_hook_ = std::move(rows);
  row_turns_ = std::move(row_turns);
}

void Lane::begin_turn() {
  const LaneTurn& turn = turns_[turn_];
  n_rows_seen_ = 0;
  session_->want_reply_logits(row_hook_ && row_turns_.at(turn_));
  if (turn.forced != nullptr) {
    session_->begin_forced_turn(*turn.input, *turn.forced);
  } else if (turn.recorded) {
    session_->begin_recorded_turn(*turn.input, *turn.recorded);
  } else {
    session_->begin_turn(*turn.input, n_new_max_);
  }
}

engine::StepItem Lane::next_item(engine::Engine& engine) {
  EBB_CHECK(!is_done());
  try {
    if (session_->is_idle()) begin_turn();
    return session_->next_item(engine);
  } catch (const Error& error) {
    throw error.with_context(fmt::format("arm '{}'", arm_));
  }
}

void Lane::accept(engine::Engine& engine, const engine::StepLogits& logits, size_t item) {
  try {
    take_logits(engine, logits, item);
  } catch (const Error& error) {
    throw error.with_context(fmt::format("arm '{}'", arm_));
  }
}

void Lane::take_logits(engine::Engine& engine, const engine::StepLogits& logits, size_t item) {
  const size_t n_rows = logits.n_rows(item);
  if (row_hook_ && row_turns_.at(turn_)) {
    // Every row of a turn predicts the next reply token; the last rows may predict closing tokens.
    for (size_t i = 0; i < n_rows; ++i) row_hook_(turn_, n_rows_seen_++, logits.row(item, i));
  }
  session_->accept(engine, n_rows > 0 ? logits.row(item) : std::span<const float>{});
  if (!session_->is_idle()) return;
  if (turn_hook_) turn_hook_(turn_);
  ++turn_;
}

}  // namespace ebb::experiment
