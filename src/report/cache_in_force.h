// The cache that an arm's last reply was made from: what a score can owe to eviction.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "report/study_data.h"

namespace ebb::report {

// Whether the arm's policy ran when the message was known: from the trigger among its settings, as
// policy::sees_query decides it from the treatment.
bool is_query_visible(const record::ArmInfo& arm);

// The arm's scope in words, with ", query-visible" where it is.
std::string shown_scope(const record::ArmInfo& arm);

// kBeforeLastTurn: an event at the end of the last turn comes after its reply, so the cache is the
// one after the turn before. kAfterLastTurn: the policy acts within a turn.
enum class Moment { kBeforeLastTurn, kAfterLastTurn };
Moment moment_of(const record::ArmInfo& arm);

struct CacheState {
  double cells = 0;    // of a layer and KV head, mean over global layers
  double n_cells = 0;  // over all layers and heads
  double bytes = 0;    // keys and values
};

class CacheInForce {
 public:
  explicit CacheInForce(const StudyData& data);

  // Absent: a unit without turns. Where only recall was measured the last turn was not run, and the
  // state after the last turn that was is the one in force at either moment.
  std::optional<CacheState> of(const record::UnitRecord& unit, Moment moment) const;
  // Cells that the treatment had removed by then.
  uint64_t n_removed(const record::UnitRecord& unit, Moment moment) const;
  // Turns whose events have all taken place by then.
  size_t n_turns_over(const record::UnitRecord& unit, Moment moment) const;

 private:
  std::map<std::string, int> last_user_turns_;  // of each conversation
};

}  // namespace ebb::report
