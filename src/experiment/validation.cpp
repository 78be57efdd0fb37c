#include "experiment/validation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ebb::experiment {
namespace {

constexpr double kHalfLow = 0.35;  // "about 50 %" is taken as 35 % to 65 %
constexpr double kHalfHigh = 0.65;

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0); }

Criterion criterion(std::string name, Verdict verdict, std::string detail) {
  return {std::move(name), verdict, std::move(detail)};
}

// Where a record is, for a detail text.
std::string place(const ConversationRecord& conversation, const TurnRecord& turn) {
  return fmt::format("'{}', turn {}", conversation.id, turn.turn);
}

template <typename Check>  // Check(conversation, turn)
void each_turn(const ArmRecord& arm, Check check) {
  for (const ConversationRecord& conversation : arm.conversations) {
    for (const TurnRecord& turn : conversation.turns) check(conversation, turn);
  }
}

// What a rule about cells found over all turns and layers.
struct CellCheck {
  size_t n_events = 0;      // global layers at events where the rule had something to do
  std::string first_wrong;  // "" = none

  void expect(bool is_right, const std::string& what) {
    if (!is_right && first_wrong.empty()) first_wrong = what;
  }
};

// Cells of the streaming rule, given what was there.
double streaming_kept(double before, double keep) { return std::min(before, keep); }

double random_kept(double before, const Ratio& retention) {
  const auto n = static_cast<int64_t>(before);
  return n == 0 ? 0.0 : static_cast<double>(std::max<int64_t>(1, retention.floor_of(n)));
}

// Applies `kept` to the least and the fullest head of every layer. In a sliding layer cells also
// leave by the window, so there the rule is an upper bound.
template <typename Kept>
CellCheck check_cells(const ArmRecord& arm, Kept kept) {
  CellCheck check;
  each_turn(arm, [&](const ConversationRecord& conversation, const TurnRecord& turn) {
    for (const LayerCells& layer : turn.layers) {
      const bool is_global = layer.layer_class == model::LayerClass::kGlobal;
      for (const auto& [before, after] : {std::pair{layer.before.min, layer.after.min},
                                          std::pair{layer.before.max, layer.after.max}}) {
        const double expected = kept(before);
        const bool is_right = is_global ? after == expected : after <= expected;
        check.expect(is_right,
                     fmt::format("{}, layer {}: found {} of {} cells, expected {}",
                                 place(conversation, turn), layer.layer, after, before, expected));
        if (is_global && expected < before) ++check.n_events;
      }
    }
  });
  return check;
}

Criterion cell_verdict(std::string name, const CellCheck& check, const std::string& rule,
                       const std::string& idle) {
  if (!check.first_wrong.empty())
    return criterion(std::move(name), Verdict::kFail, check.first_wrong);
  if (check.n_events == 0) return criterion(std::move(name), Verdict::kNotAssessable, idle);
  return criterion(std::move(name), Verdict::kPass, rule);
}

const TurnRecord* same_turn(const ArmRecord& arm, const std::string& id, int turn) {
  for (const ConversationRecord& conversation : arm.conversations) {
    if (conversation.id != id) continue;
    for (const TurnRecord& record : conversation.turns) {
      if (record.turn == turn) return &record;
    }
  }
  return nullptr;
}

// Mean shares of the baseline's cells: by place of the turn in its conversation, and at the end.
struct Shares {
  std::vector<double> sum, n;  // by place
  double last_sum = 0, n_last = 0;

  void add(size_t at, double share) {
    if (sum.size() <= at) {
      sum.resize(at + 1);
      n.resize(at + 1);
    }
    sum[at] += share;
    n[at] += 1;
  }
  std::string by_turn() const {
    std::vector<std::string> parts;
    for (size_t i = 0; i < sum.size(); ++i) {
      parts.push_back(fmt::format("{:.0f} % after turn {}", 100 * sum[i] / n[i], i + 1));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }
};

Shares shares_of(const ArmRecord& arm, const ArmRecord& baseline) {
  Shares out;
  for (const ConversationRecord& conversation : arm.conversations) {
    double last = -1;
    for (size_t i = 0; i < conversation.turns.size(); ++i) {
      const TurnRecord* full = same_turn(baseline, conversation.id, conversation.turns[i].turn);
      if (full == nullptr || full->cells_after <= 0) continue;
      last = conversation.turns[i].cells_after / full->cells_after;
      out.add(i, last);
    }
    if (last < 0) continue;
    out.last_sum += last;
    out.n_last += 1;
  }
  return out;
}

std::string why_not_half(ArmKind kind) {
  if (kind == ArmKind::kStreaming) {
    return ": streaming keeps a fixed number of cells, so its share shrinks as the conversation "
           "grows";
  }
  if (kind == ArmKind::kRandom) {
    return ": the rate is taken of what is left each time, so it compounds over turns (a cell "
           "lives "
           "through k events with probability rate^k)";
  }
  return "";
}

const ArmRecord* arm_of(const std::vector<ArmRecord>& arms, ArmKind kind) {
  const auto found = std::find_if(arms.begin(), arms.end(),
                                  [&](const ArmRecord& arm) { return arm.kind == kind; });
  return found == arms.end() ? nullptr : &*found;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kNotAssessable:
      break;
  }
  return "not_assessable";
}

Criterion judge_memory(const MemoryRecord& memory) {
  const std::string name = "the model fits";
  if (memory.measured_peak == 0 || memory.limit == 0) {
    return criterion(name, Verdict::kNotAssessable, "peak memory was not measured");
  }
  const double error = memory.predicted_peak == 0
                           ? 0
                           : 100 * (gib(memory.measured_peak) / gib(memory.predicted_peak) - 1);
  const std::string detail = fmt::format(
      "peak {:.2f} GiB measured, {:.2f} GiB predicted ({:+.1f} %), of {:.2f} GiB allowed: weights "
      "{:.2f}, cache {:.3f}, activations {:.2f} GiB",
      gib(memory.measured_peak), gib(memory.predicted_peak), error, gib(memory.limit),
      gib(memory.weights), gib(memory.cache), gib(memory.activations));
  const bool fits = memory.measured_peak <= memory.limit;
  return criterion(name, fits ? Verdict::kPass : Verdict::kFail, detail);
}

Criterion judge_access(const std::optional<CacheProbe>& probe) {
  const std::string name = "the cache can be read and changed";
  if (!probe) return criterion(name, Verdict::kNotAssessable, "the cache was not looked into");
  const std::string detail = fmt::format(
      "read {} numbers of {} layers x {} KV heads x {} channels ({} not finite); an eviction took "
      "it "
      "from {} to {} cells and from {} to {} bytes",
      probe->n_values_read, probe->n_layers, probe->n_kv_heads, probe->head_dim,
      probe->n_values_not_finite, probe->cells_before, probe->cells_after, probe->bytes_before,
      probe->bytes_after);
  const bool was_read = probe->n_values_read > 0 && probe->n_values_not_finite == 0;
  const bool was_changed = probe->cells_after > 0 && probe->cells_after < probe->cells_before &&
                           probe->bytes_after < probe->bytes_before;
  return criterion(name, was_read && was_changed ? Verdict::kPass : Verdict::kFail, detail);
}

Criterion judge_growth(const ArmRecord& baseline) {
  const std::string name = "the baseline's cache grows with every turn";
  size_t n_steps = 0;
  std::string wrong;
  std::string example;
  for (const ConversationRecord& conversation : baseline.conversations) {
    double last = 0;
    std::vector<std::string> sizes;
    for (const TurnRecord& turn : conversation.turns) {
      const bool grew = turn.cells_after > last && turn.cells_after == turn.cells_before;
      if (!grew && wrong.empty()) {
        wrong =
            fmt::format("{}: found {} cells before and {} after the turn's end, {} a turn earlier",
                        place(conversation, turn), turn.cells_before, turn.cells_after, last);
      }
      if (last > 0) ++n_steps;
      last = turn.cells_after;
      sizes.push_back(fmt::format("{}", turn.cells_after));
    }
    if (example.empty()) {
      example = fmt::format("'{}': {} cells", conversation.id, fmt::join(sizes, " -> "));
    }
  }
  if (!wrong.empty()) return criterion(name, Verdict::kFail, wrong);
  if (n_steps == 0)
    return criterion(name, Verdict::kNotAssessable, "no conversation has two turns");
  return criterion(name, Verdict::kPass, example);
}

Criterion judge_streaming(const ArmRecord& arm, int64_t keep_initial, int64_t keep_recent) {
  const auto keep = static_cast<double>(keep_initial + keep_recent);
  const CellCheck check =
      check_cells(arm, [&](double before) { return streaming_kept(before, keep); });
  return cell_verdict(
      "streaming stays at keep_initial + keep_recent", check,
      fmt::format("every global layer and head holds {} + {} = {} cells once it had more",
                  keep_initial, keep_recent, keep),
      fmt::format("no cache grew past {} cells", keep));
}

Criterion judge_random(const ArmRecord& arm, const Ratio& retention) {
  const CellCheck check =
      check_cells(arm, [&](double before) { return random_kept(before, retention); });
  return cell_verdict(
      "random keeps its rate of what was there", check,
      fmt::format("every global layer and head kept max(1, floor(n * {})) cells", retention.text()),
      "no cache was long enough to lose a cell");
}

Criterion judge_half(const ArmRecord& arm, const ArmRecord& baseline) {
  const std::string name = "about 50 % of the baseline: " + arm.arm;
  const Shares shares = shares_of(arm, baseline);
  if (shares.n_last == 0) {
    return criterion(name, Verdict::kNotAssessable, "no turn to compare with the baseline");
  }
  const double share = shares.last_sum / shares.n_last;
  const bool is_half = share >= kHalfLow && share <= kHalfHigh;
  const std::string detail =
      fmt::format("{:.0f} % of the baseline's cells at the end, expected 35 to 65 % ({}){}",
                  100 * share, shares.by_turn(), is_half ? "" : why_not_half(arm.kind));
  return criterion(name, is_half ? Verdict::kPass : Verdict::kFail, detail);
}

Criterion judge_examples(const std::vector<ArmRecord>& arms) {
  const std::string name = "2 to 3 examples ran in every arm";
  if (arms.empty()) return criterion(name, Verdict::kFail, "no arm ran");
  const auto& first = arms.front().conversations;
  for (const ArmRecord& arm : arms) {
    const bool is_same = std::equal(arm.conversations.begin(), arm.conversations.end(),
                                    first.begin(), first.end(), [](const auto& a, const auto& b) {
                                      return a.id == b.id && a.turns.size() == b.turns.size();
                                    });
    if (!is_same) {
      return criterion(
          name, Verdict::kFail,
          fmt::format("'{}' and '{}' did not run the same turns", arms.front().arm, arm.arm));
    }
  }
  const std::string detail =
      fmt::format("{} conversations x {} arms, all turns ran", first.size(), arms.size());
  return criterion(name, first.size() >= 2 ? Verdict::kPass : Verdict::kFail, detail);
}

std::vector<Criterion> judge(const ValidationInput& input) {
  std::vector<Criterion> out = {judge_memory(input.memory), judge_access(input.probe)};
  const ArmRecord* baseline = arm_of(input.arms, ArmKind::kBaseline);
  if (baseline != nullptr) out.push_back(judge_growth(*baseline));
  for (const ArmRecord& arm : input.arms) {
    if (arm.kind == ArmKind::kStreaming) {
      out.push_back(judge_streaming(arm, input.keep_initial, input.keep_recent));
    }
    if (arm.kind == ArmKind::kRandom) out.push_back(judge_random(arm, input.retention));
  }
  for (const ArmRecord& arm : input.arms) {
    if (arm.kind == ArmKind::kBaseline || baseline == nullptr) continue;
    out.push_back(judge_half(arm, *baseline));
  }
  for (const ArmRecord& arm : input.arms) {
    if (arm.kind == ArmKind::kBaseline || baseline == nullptr) continue;
    out.push_back(judge_coherence(arm, *baseline));
  }
  out.push_back(judge_examples(input.arms));
  return out;
}

}  // namespace ebb::experiment
