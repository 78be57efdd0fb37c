#include "report/arm_facts.h"

#include <map>

#include "report/arm_order.h"
#include "report/means.h"

namespace ebb::report {
namespace {

struct Sums {
  ConversationMeans cells;
  ConversationMeans bytes;
  ConversationMeans tokens;
  size_t n_units = 0;
  size_t n_replies = 0;
  size_t n_capped = 0;
  size_t n_loops = 0;
  uint64_t n_removed = 0;
};

void add_unit(Sums& sums, const record::UnitRecord& unit) {
  ++sums.n_units;
  sums.n_removed += unit.n_removed;
  for (const record::UnitTurn& turn : unit.turns) {
    if (turn.is_recorded) continue;
    ++sums.n_replies;
    sums.n_capped += turn.stop == "length" ? 1 : 0;
    sums.n_loops += turn.repeated_share > kLoopShare ? 1 : 0;
    sums.tokens.add(unit.conversation, turn.reply_tokens);
  }
  if (unit.turns.empty()) return;
  sums.cells.add(unit.conversation, unit.turns.back().cells_after);
  sums.bytes.add(unit.conversation, static_cast<double>(unit.turns.back().bytes_cells));
}

// Only over conversations that both have, so that a long conversation missing in one does not
// count.
std::optional<double> share_of(const ConversationMeans& arm, const ConversationMeans& baseline) {
  double kept = 0;
  double all = 0;
  for (const auto& [conversation, values] : arm.all()) {
    const auto base = baseline.of(conversation);
    if (!base) continue;
    kept += ordered_mean(values);
    all += *base;
  }
  if (all <= 0) return std::nullopt;
  return kept / all;
}

std::optional<double> share(size_t n, size_t n_all) {
  if (n_all == 0) return std::nullopt;
  return static_cast<double>(n) / static_cast<double>(n_all);
}

}  // namespace

std::vector<ArmFacts> arm_facts(const StudyData& data) {
  std::map<std::string, Sums> by_arm;
  for (const record::UnitRecord& unit : data.units) add_unit(by_arm[unit.arm], unit);
  const record::ArmInfo* baseline = arm_of_kind(data.study, "baseline");
  std::vector<ArmFacts> out;
  for (const record::ArmInfo& info : data.study.arms) {
    const Sums& sums = by_arm[info.name];
    ArmFacts facts{.info = info, .n_units = sums.n_units};
    facts.cells_kept = sums.cells.mean();
    facts.bytes_kept = sums.bytes.mean();
    if (baseline != nullptr) {
      facts.kept_of_baseline = share_of(sums.cells, by_arm[baseline->name].cells);
    }
    facts.n_replies = sums.n_replies;
    facts.cap_hit_rate = share(sums.n_capped, sums.n_replies);
    facts.loop_rate = share(sums.n_loops, sums.n_replies);
    facts.reply_tokens = sums.tokens.mean();
    facts.n_removed = sums.n_removed;
    facts.never_removed = info.kind == "treatment" && sums.n_units > 0 && sums.n_removed == 0;
    out.push_back(facts);
  }
  return out;
}

}  // namespace ebb::report
