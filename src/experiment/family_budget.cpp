// How much an arm may keep, where that follows from another arm of the same conversation.
#include <algorithm>

#include "base/error.h"
#include "experiment/family_unit.h"
#include "experiment/recall.h"
#include "policy/matched.h"

namespace ebb::experiment {

std::vector<int64_t> Family::schedule_of(const Reference& reference, const StudyArm& arm) const {
  if (arm.share.empty()) return {};
  return policy::match_lengths(reference.lengths, Ratio::parse(arm.share)).schedule;
}

// The same memory after every turn as the other arm has shown to need.
std::vector<int64_t> Family::schedule_from_bytes(const Unit& unit) const {
  std::vector<size_t> bytes;
  for (const record::UnitTurn& turn : measured_of(unit).done->turns) {
    bytes.push_back(turn.bytes_cells);
  }
  return policy::match_bytes(unit.arm->match_bytes, bytes, context_.engine->config().window,
                             context_.engine->cache_shape())
      .schedule;
}

void Family::check_matched_bytes(const Unit& unit) const {
  if (unit.arm->match_bytes.empty()) return;
  const std::vector<record::UnitTurn>& most = measured_of(unit).done->turns;
  const std::vector<record::UnitTurn>& turns = unit.done->turns;
  for (size_t t = 0; t < turns.size(); ++t) {
    if (turns[t].bytes_cells <= most[t].bytes_cells) continue;
    throw Error::make(
        ErrorKind::kInternal, "arm '{}': {} bytes of cells after turn {}, more than the {} of '{}'",
        unit.arm->name, turns[t].bytes_cells, t, most[t].bytes_cells, unit.arm->match_bytes);
  }
}

const Family::Unit& Family::measured_of(const Unit& unit) const {
  const Unit* found = nullptr;
  for (const auto& other : units_) {
    if (other->arm->name != unit.arm->match_bytes) continue;
    if (found == nullptr || other->seed == unit.seed) found = other.get();
  }
  EBB_CHECK(found != nullptr);
  return *found;
}

void Family::remove_text(const Unit& unit, engine::Session& session, UnitBuilder& builder) const {
  const auto of = std::find_if(context_.study->arms.begin(), context_.study->arms.end(),
                               [&](const StudyArm& arm) { return arm.name == unit.arm->repeats; });
  const policy::Treatment treatment = treatment_of(*of, schedule_of(*unit.reference, *of));
  const std::vector<Ordinal> kept = streaming_survivors(
      treatment, session.sequence().next_ordinal(), session.turns().back().turn);
  const uint64_t before = session.sequence().cells().n_cells_total();
  if (kept.size() == session.sequence().next_ordinal().value) return;
  session.reencode(*context_.engine, kept);
  builder.note_reencoded(kept, before - session.sequence().cells().n_cells_total());
}

}  // namespace ebb::experiment
