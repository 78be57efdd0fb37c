#include "report/cache_in_force.h"

#include <algorithm>
#include <string_view>

namespace ebb::report {
namespace {

CacheState after(const record::UnitTurn& turn) {
  return {.cells = turn.cells_after,
          .n_cells = static_cast<double>(turn.n_cells_after),
          .bytes = static_cast<double>(turn.bytes_cells)};
}

// Before the event at the turn's end. Bytes were not measured there; every cell weighs the same.
CacheState before_event(const record::UnitTurn& turn) {
  CacheState out = after(turn);
  out.cells = turn.cells_before;
  if (turn.n_cells_after == 0) return out;
  out.n_cells += static_cast<double>(turn.n_removed);
  out.bytes *= out.n_cells / static_cast<double>(turn.n_cells_after);
  return out;
}

bool acts_within_turn(std::string_view event) {
  return event == "prompt_end" || event == "cap" || event.starts_with("every_n") ||
         event.starts_with("prompt_block");
}

}  // namespace

bool is_query_visible(const record::ArmInfo& arm) {
  const auto trigger = arm.settings.find("trigger");
  if (arm.policy == "full" || trigger == arm.settings.end()) return false;
  std::string_view rest = trigger->second;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    if (acts_within_turn(rest.substr(0, end))) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

std::string shown_scope(const record::ArmInfo& arm) {
  return arm.scope + (is_query_visible(arm) ? ", query-visible" : "");
}

Moment moment_of(const record::ArmInfo& arm) {
  return is_query_visible(arm) ? Moment::kAfterLastTurn : Moment::kBeforeLastTurn;
}

CacheInForce::CacheInForce(const StudyData& data) {
  for (const record::ConversationText& conversation : data.conversations) {
    for (const record::TurnText& turn : conversation.turns) {
      if (turn.speaker == "user") last_user_turns_[conversation.id] = turn.turn_id;
    }
  }
}

size_t CacheInForce::n_turns_over(const record::UnitRecord& unit, Moment moment) const {
  if (unit.turns.empty()) return 0;
  const auto last = last_user_turns_.find(unit.conversation);
  const bool has_run = last == last_user_turns_.end() || unit.turns.back().turn_id == last->second;
  return unit.turns.size() - (moment == Moment::kBeforeLastTurn && has_run ? 1 : 0);
}

std::optional<CacheState> CacheInForce::of(const record::UnitRecord& unit, Moment moment) const {
  if (unit.turns.empty()) return std::nullopt;
  const size_t n_over = n_turns_over(unit, moment);
  return n_over == 0 ? before_event(unit.turns.front()) : after(unit.turns[n_over - 1]);
}

uint64_t CacheInForce::n_removed(const record::UnitRecord& unit, Moment moment) const {
  uint64_t out = 0;
  for (size_t i = 0; i < n_turns_over(unit, moment); ++i) out += unit.turns[i].n_removed;
  return out;
}

}  // namespace ebb::report
