// Unit records as JSON.
#include "record/json_fields.h"
#include "record/study_records.h"

namespace ebb::record {
namespace {

// Every plain field of a struct, once for both directions: visit(name, member).
template <typename Value, typename Visit>
void fidelity_fields(Value& f, Visit visit) {
  visit("n_tokens", f.n_tokens);
  visit("kl_mean", f.kl_mean);
  visit("kl_max", f.kl_max);
  visit("top1_agreement", f.top1_agreement);
  visit("delta_loglik", f.delta_loglik);
  visit("first_divergence", f.first_divergence);
}

template <typename Turn, typename Visit>
void turn_fields(Turn& t, Visit visit) {
  visit("turn_id", t.turn_id);
  visit("prompt_tokens", t.prompt_tokens);
  visit("reply_tokens", t.reply_tokens);
  visit("is_recorded", t.is_recorded);
  visit("stop", t.stop);
  visit("reply", t.reply);
  visit("repeated_share", t.repeated_share);
  visit("cells_before", t.cells_before);
  visit("cells_after", t.cells_after);
  visit("n_cells_after", t.n_cells_after);
  visit("n_cells_peak", t.n_cells_peak);
  visit("n_cells_mean", t.n_cells_mean);
  visit("bytes_cells", t.bytes_cells);
  visit("bytes_alone", t.bytes_alone);
  visit("n_removed", t.n_removed);
  visit("n_left_window", t.n_left_window);
}

Json turn_json(const UnitTurn& turn) {
  Json out = Json::object();
  turn_fields(turn, [&](const char* name, const auto& value) { out[name] = value; });
  if (turn.is_forced) out["is_forced"] = true;
  out["sliding_before"] = json_of(turn.sliding_before);
  out["sliding_after"] = json_of(turn.sliding_after);
  out["turns_since_loss"] = json_of(turn.turns_since_loss);
  if (turn.fidelity) {
    Json& fidelity = out["fidelity"] = Json::object();
    fidelity_fields(*turn.fidelity,
                    [&](const char* name, const auto& value) { fidelity[name] = value; });
  }
  return out;
}

UnitTurn turn_of(const Json& json) {
  UnitTurn out;
  turn_fields(out, [&](const char* name, auto& value) { read(json, name, value); });
  if (json.contains("is_forced")) read(json, "is_forced", out.is_forced);
  read(json, "sliding_before", out.sliding_before);
  read(json, "sliding_after", out.sliding_after);
  read(json, "turns_since_loss", out.turns_since_loss);
  if (json.contains("fidelity")) {
    const Json& fidelity = field(json, "fidelity");
    fidelity_fields(out.fidelity.emplace(),
                    [&](const char* name, auto& value) { read(fidelity, name, value); });
  }
  return out;
}

Json span_json(const SpanRecord& span) {
  Json out{{"role", span.role},
           {"turn_id", span.turn_id},
           {"instruction_id", span.instruction_id},
           {"n_tokens", span.n_tokens},
           {"kept_share", Json::array()}};
  for (const auto& share : span.kept_share) out["kept_share"].push_back(json_of(share));
  // Records of before they were kept have none.
  if (!span.cells_left.empty()) out["cells_left"] = span.cells_left;
  return out;
}

SpanRecord span_of(const Json& json) {
  SpanRecord out;
  read(json, "role", out.role);
  read(json, "turn_id", out.turn_id);
  read(json, "instruction_id", out.instruction_id);
  read(json, "n_tokens", out.n_tokens);
  for (const Json& share : field(json, "kept_share")) {
    out.kept_share.push_back(share.is_null() ? std::nullopt : std::optional(share.get<double>()));
  }
  if (json.contains("cells_left")) read(json, "cells_left", out.cells_left);
  return out;
}

Json probe_json(const RecallProbe& probe) {
  return {{"instruction_id", probe.instruction_id},
          {"n_tokens", probe.n_tokens},
          {"loglik", probe.loglik},
          {"kept_share", probe.kept_share}};
}

RecallProbe probe_of(const Json& json) {
  RecallProbe out;
  read(json, "instruction_id", out.instruction_id);
  read(json, "n_tokens", out.n_tokens);
  read(json, "loglik", out.loglik);
  read(json, "kept_share", out.kept_share);
  return out;
}

Json map_json(const CacheMap& map) {
  return {{"tokens", map.tokens},
          {"roles", map.roles},
          {"n_holders", map.n_holders},
          {"n_pairs", map.n_pairs}};
}

CacheMap map_of(const Json& json) {
  CacheMap out;
  read(json, "tokens", out.tokens);
  read(json, "roles", out.roles);
  read(json, "n_holders", out.n_holders);
  read(json, "n_pairs", out.n_pairs);
  return out;
}

}  // namespace

std::string to_json(const UnitRecord& unit) {
  Json out{{"unit_id", unit.unit_id},
           {"arm", unit.arm},
           {"conversation", unit.conversation},
           {"seed", unit.seed},
           {"n_removed", unit.n_removed},
           {"digest", unit.digest},
           {"turns", Json::array()},
           {"spans", Json::array()},
           {"recall", Json::array()}};
  for (const UnitTurn& turn : unit.turns) out["turns"].push_back(turn_json(turn));
  for (const SpanRecord& span : unit.spans) out["spans"].push_back(span_json(span));
  for (const RecallProbe& probe : unit.recall) out["recall"].push_back(probe_json(probe));
  if (unit.cache_map) out["cache_map"] = map_json(*unit.cache_map);
  return dump_record(out);
}

UnitRecord unit_from_json(const std::string& text) {
  const Json json = parse_record(text);
  UnitRecord out;
  read(json, "unit_id", out.unit_id);
  read(json, "arm", out.arm);
  read(json, "conversation", out.conversation);
  read(json, "seed", out.seed);
  read(json, "n_removed", out.n_removed);
  read(json, "digest", out.digest);
  for (const Json& turn : field(json, "turns")) out.turns.push_back(turn_of(turn));
  for (const Json& span : field(json, "spans")) out.spans.push_back(span_of(span));
  for (const Json& probe : field(json, "recall")) out.recall.push_back(probe_of(probe));
  if (json.contains("cache_map")) out.cache_map = map_of(field(json, "cache_map"));
  return out;
}

}  // namespace ebb::record
