// One session on its way through its turns: the unit of batching. A driver asks many lanes for
// their next tokens, computes them in one step, and hands the logits back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/session.h"

namespace ebb::experiment {

// Where a turn's reply comes from: sampled, from the file, or another session's tokens.
struct LaneTurn {
  const model::TurnInput* input = nullptr;  // borrowed
  std::optional<std::string> recorded = {};
  const std::vector<int32_t>* forced = nullptr;  // borrowed; generated ids of the baseline
};

class Lane {
 public:
  // The logits that predict token `token` of the reply of turn `turn`.
  using RowHook = std::function<void(size_t turn, size_t token, std::span<const float> logits)>;
  using TurnHook = std::function<void(size_t turn)>;

  // `first_turn`: turns before it are in the session already.
  Lane(std::unique_ptr<engine::Session> session, std::vector<LaneTurn> turns, size_t first_turn,
       int n_new_max);

  // Whose it is, for messages.
  void set_arm(std::string arm) { arm_ = std::move(arm); }
  // Rows are asked for only where `rows` is set and the turn is one of `row_turns` (true).
  void on_row(RowHook rows, std::vector<bool> row_turns);
  // Called after a turn's events, before the next turn begins.
  void on_turn(TurnHook hook) { turn_hook_ = std::move(hook); }

  bool is_done() const { return turn_ == turns_.size(); }
  // Throws: what the session's events throw, naming the arm.
  engine::StepItem next_item(engine::Engine& engine);
  void accept(engine::Engine& engine, const engine::StepLogits& logits, size_t item);

  engine::Session& session() { return *session_; }
  // Requires: is_done().
  std::unique_ptr<engine::Session> take_session() { return std::move(session_); }

 private:
  void begin_turn();
  void take_logits(engine::Engine& engine, const engine::StepLogits& logits, size_t item);

  std::string arm_;
  std::unique_ptr<engine::Session> session_;
  std::vector<LaneTurn> turns_;
  size_t turn_;
  int n_new_max_;
  size_t n_rows_seen_ = 0;  // of the turn
  RowHook row_hook_;
  std::vector<bool> row_turns_;
  TurnHook turn_hook_;
};

}  // namespace ebb::experiment
