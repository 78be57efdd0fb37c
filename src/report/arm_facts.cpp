#include "report/arm_facts.h"

#include <map>

#include "report/arm_order.h"
#include "report/cache_in_force.h"
#include "report/means.h"

namespace ebb::report {
namespace {

// The cache that last replies were made from, at one of the two moments.
struct CacheMeans {
  ConversationMeans cells;
  ConversationMeans bytes;
};

struct Sums {
  std::map<Moment, CacheMeans> cache;
  ConversationMeans tokens;
  size_t n_units = 0;
  size_t n_replies = 0;
  size_t n_capped = 0;
  size_t n_loops = 0;
  std::map<Moment, uint64_t> n_removed;
};

void add_unit(Sums& sums, const record::UnitRecord& unit, const CacheInForce& in_force) {
  ++sums.n_units;
  for (const record::UnitTurn& turn : unit.turns) {
    if (turn.is_recorded) continue;
    ++sums.n_replies;
    sums.n_capped += turn.stop == "length" ? 1 : 0;
    sums.n_loops += turn.repeated_share > kLoopShare ? 1 : 0;
    sums.tokens.add(unit.conversation, turn.reply_tokens);
  }
  for (const Moment moment : {Moment::kBeforeLastTurn, Moment::kAfterLastTurn}) {
    sums.n_removed[moment] += in_force.n_removed(unit, moment);
    const auto state = in_force.of(unit, moment);
    if (!state) continue;
    sums.cache[moment].cells.add(unit.conversation, state->cells);
    sums.cache[moment].bytes.add(unit.conversation, state->bytes);
  }
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
  const CacheInForce in_force(data);
  std::map<std::string, Sums> by_arm;
  for (const record::UnitRecord& unit : data.units) add_unit(by_arm[unit.arm], unit, in_force);
  const record::ArmInfo* baseline = arm_of_kind(data.study, "baseline");
  std::vector<ArmFacts> out;
  for (const record::ArmInfo& info : data.study.arms) {
    Sums& sums = by_arm[info.name];
    const Moment moment = moment_of(info);
    const CacheMeans& cache = sums.cache[moment];
    ArmFacts facts{.info = info, .n_units = sums.n_units};
    facts.is_query_visible = is_query_visible(info);
    facts.cells_kept = cache.cells.mean();
    facts.bytes_kept = cache.bytes.mean();
    if (baseline != nullptr) {
      facts.kept_of_baseline = share_of(cache.cells, by_arm[baseline->name].cache[moment].cells);
    }
    facts.n_replies = sums.n_replies;
    facts.cap_hit_rate = share(sums.n_capped, sums.n_replies);
    facts.loop_rate = share(sums.n_loops, sums.n_replies);
    facts.reply_tokens = sums.tokens.mean();
    facts.n_removed = sums.n_removed[moment];
    facts.never_removed = info.kind == "treatment" && sums.n_units > 0 && facts.n_removed == 0;
    out.push_back(facts);
  }
  return out;
}

}  // namespace ebb::report
