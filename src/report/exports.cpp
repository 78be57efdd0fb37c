#include "report/exports.h"

#include <algorithm>
#include <tuple>

#include "report/arm_order.h"
#include "report/csv.h"

namespace ebb::report {
namespace {

// Pointers in the order of `key`, so that files do not depend on the order units finished in.
template <typename T, typename Key>
std::vector<const T*> sorted(const std::vector<T>& values, const Key& key) {
  std::vector<const T*> out;
  for (const T& value : values) out.push_back(&value);
  std::stable_sort(out.begin(), out.end(),
                   [&](const T* a, const T* b) { return key(*a) < key(*b); });
  return out;
}

std::string text_of(const std::optional<int>& value) { return value ? number_text(*value) : ""; }

std::string family_text(const std::optional<stats::Family>& family) {
  if (!family) return "";
  return *family == stats::Family::kConfirmatory ? "confirmatory" : "exploratory";
}

void add_rows(Csv& csv, const std::string& endpoint, const std::string& instruction_class,
              const std::string& assessable, const std::vector<stats::ArmRow>& rows) {
  for (const stats::ArmRow& row : rows) {
    const stats::Estimate diff = row.diff.value_or(stats::Estimate{});
    const bool has_numbers = row.n_conversations > 0;
    csv.add({endpoint,
             instruction_class,
             assessable,
             row.arm,
             row.contrast,
             number_text(row.n_conversations),
             number_text(row.n_seeds),
             number_text(row.n_unpaired),
             has_numbers ? number_text(row.score.mean) : "",
             has_numbers ? number_text(row.score.sd) : "",
             low_text(row.score.interval),
             high_text(row.score.interval),
             row.score.interval_method,
             row.diff ? number_text(diff.mean) : "",
             row.diff ? number_text(diff.sd) : "",
             low_text(diff.interval),
             high_text(diff.interval),
             diff.interval_method,
             number_text(row.effect_size),
             low_text(row.effect_interval),
             high_text(row.effect_interval),
             row.test,
             family_text(row.family),
             number_text(row.p),
             number_text(row.p_corrected),
             row.correction,
             row.is_identical ? "1" : "0",
             number_text(row.c2w),
             number_text(row.w2c),
             row.equivalence ? number_text(row.equivalence->margin.high) : "",
             row.equivalence ? number_text(row.equivalence->p) : "",
             row.equivalence ? (row.equivalence->is_equivalent ? "1" : "0") : "",
             row.note});
  }
}

std::string_view state_text(const Assessability& assessability) {
  switch (assessability.state) {
    case Assessability::State::kAssessable:
      return "assessable";
    case Assessability::State::kNotAssessable:
      return "not assessable";
    case Assessability::State::kUnknown:
      return "unknown";
  }
  return "";
}

std::vector<std::string> turn_fields(const record::UnitRecord& unit, const record::UnitTurn& turn) {
  const record::Fidelity fidelity = turn.fidelity.value_or(record::Fidelity{});
  const bool has = turn.fidelity.has_value();
  return {unit.unit_id,
          unit.conversation,
          unit.arm,
          number_text(unit.seed),
          number_text(turn.turn_id),
          number_text(turn.prompt_tokens),
          number_text(turn.reply_tokens),
          turn.is_recorded ? "1" : "0",
          turn.stop,
          number_text(turn.repeated_share),
          number_text(turn.cells_before),
          number_text(turn.cells_after),
          number_text(turn.sliding_before),
          number_text(turn.sliding_after),
          number_text(turn.n_cells_after),
          number_text(turn.n_cells_peak),
          number_text(turn.n_cells_mean),
          number_text(turn.bytes_cells),
          number_text(turn.bytes_alone),
          number_text(turn.n_removed),
          number_text(turn.n_left_window),
          has ? number_text(fidelity.n_tokens) : "",
          has ? number_text(fidelity.kl_mean) : "",
          has ? number_text(fidelity.kl_max) : "",
          has ? number_text(fidelity.top1_agreement) : "",
          has ? number_text(fidelity.delta_loglik) : "",
          has ? number_text(fidelity.first_divergence) : "",
          text_of(turn.turns_since_loss),
          turn.reply};
}

}  // namespace

std::string scores_csv(const StudyData& data) {
  const ArmOrder order(data.study);
  Csv csv({"unit", "conversation", "arm", "seed", "endpoint", "score"});
  const auto key = [&](const record::UnitScore& s) {
    return std::make_tuple(order.place(s.arm), s.arm, s.conversation, s.seed, s.endpoint);
  };
  for (const record::UnitScore* s : sorted(data.scores.units, key)) {
    csv.add({s->unit_id, s->conversation, s->arm, number_text(s->seed), s->endpoint,
             number_text(s->score)});
  }
  return csv.text();
}

std::string items_csv(const StudyData& data) {
  const ArmOrder order(data.study);
  Csv csv({"unit", "conversation", "arm", "seed", "turn", "instruction", "class", "state",
           "rule_strict", "rule_loose", "judge", "combined", "judge_state", "detail"});
  const auto key = [&](const record::ItemScore& s) {
    return std::make_tuple(order.place(s.arm), s.arm, s.conversation, s.seed, s.turn_id,
                           s.instruction_id);
  };
  for (const record::ItemScore* s : sorted(data.scores.items, key)) {
    csv.add({s->unit_id, s->conversation, s->arm, number_text(s->seed), number_text(s->turn_id),
             s->instruction_id, s->instruction_class, s->state, number_text(s->rule_strict),
             number_text(s->rule_loose), number_text(s->judge), number_text(s->combined),
             s->judge_state, s->detail});
  }
  return csv.text();
}

std::string turns_csv(const StudyData& data) {
  const ArmOrder order(data.study);
  Csv csv({"unit",
           "conversation",
           "arm",
           "seed",
           "turn",
           "prompt_tokens",
           "reply_tokens",
           "is_recorded",
           "stop",
           "repeated_share",
           "cells_before",
           "cells_after",
           "sliding_before",
           "sliding_after",
           "n_cells_after",
           "n_cells_peak",
           "n_cells_mean",
           "bytes_cells",
           "bytes_alone",
           "n_removed",
           "n_left_window",
           "fidelity_tokens",
           "kl_mean",
           "kl_max",
           "top1_agreement",
           "delta_loglik",
           "first_divergence",
           "turns_since_loss",
           "reply"});
  const auto key = [&](const record::UnitRecord& u) {
    return std::make_tuple(order.place(u.arm), u.arm, u.conversation, u.seed);
  };
  for (const record::UnitRecord* unit : sorted(data.units, key)) {
    for (const record::UnitTurn& turn : unit->turns) csv.add(turn_fields(*unit, turn));
  }
  return csv.text();
}

std::string stats_csv(const Analysis& analysis) {
  Csv csv({"endpoint",
           "class",
           "assessable",
           "arm",
           "contrast",
           "n_conversations",
           "n_seeds",
           "n_unpaired",
           "mean",
           "sd",
           "ci_low",
           "ci_high",
           "ci_method",
           "diff",
           "diff_sd",
           "diff_ci_low",
           "diff_ci_high",
           "diff_ci_method",
           "effect_size",
           "effect_ci_low",
           "effect_ci_high",
           "test",
           "family",
           "p",
           "p_corrected",
           "correction",
           "is_identical",
           "c2w",
           "w2c",
           "margin",
           "equivalence_p",
           "is_equivalent",
           "note"});
  add_rows(csv, analysis.primary.endpoint, "", std::string(state_text(analysis.overall)),
           analysis.primary.rows);
  for (const EndpointResult& other : analysis.others) {
    add_rows(csv, other.endpoint, "", "", other.rows);
  }
  for (const ClassResult& each : analysis.classes) {
    add_rows(csv, analysis.primary.endpoint, each.name, std::string(state_text(each.assessability)),
             each.rows);
  }
  return csv.text();
}

std::string dose_csv(const Analysis& analysis) {
  Csv csv({"outcome", "unit", "conversation", "arm", "kept_share", "value"});
  for (const DoseCurve& curve : analysis.doses) {
    for (const DosePoint& point : curve.points) {
      csv.add({curve.outcome, point.unit_id, point.conversation, point.arm,
               number_text(point.kept_share), number_text(point.value)});
    }
  }
  return csv.text();
}

}  // namespace ebb::report
