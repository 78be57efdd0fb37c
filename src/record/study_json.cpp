// Studies and their conversations as JSON.
#include "record/json_fields.h"
#include "record/study_records.h"

namespace ebb::record {
namespace {

Json instruction_json(const InstructionText& i) {
  return {{"id", i.id},
          {"text", i.text},
          {"rules", i.rules},
          {"active_from", json_of(i.active_from)},
          {"active_until", json_of(i.active_until)},
          {"overridden_by", i.overridden_by}};
}

InstructionText instruction_of(const Json& json) {
  InstructionText out;
  read(json, "id", out.id);
  read(json, "text", out.text);
  read(json, "rules", out.rules);
  read(json, "active_from", out.active_from);
  read(json, "active_until", out.active_until);
  read(json, "overridden_by", out.overridden_by);
  return out;
}

Json turn_json(const TurnText& t) {
  return {
      {"turn_id", t.turn_id}, {"speaker", t.speaker}, {"instruction_id", t.instruction_id},
      {"content", t.content}, {"query", t.query},     {"expected_behavior", t.expected_behavior},
      {"expects", t.expects}};
}

TurnText turn_of(const Json& json) {
  TurnText out;
  read(json, "turn_id", out.turn_id);
  read(json, "speaker", out.speaker);
  read(json, "instruction_id", out.instruction_id);
  read(json, "content", out.content);
  read(json, "query", out.query);
  read(json, "expected_behavior", out.expected_behavior);
  read(json, "expects", out.expects);
  return out;
}

Json arm_json(const ArmInfo& a) {
  return {{"name", a.name},         {"kind", a.kind},           {"policy", a.policy},
          {"settings", a.settings}, {"positions", a.positions}, {"scope", a.scope}};
}

ArmInfo arm_of(const Json& json) {
  ArmInfo out;
  read(json, "name", out.name);
  read(json, "kind", out.kind);
  read(json, "policy", out.policy);
  read(json, "settings", out.settings);
  read(json, "positions", out.positions);
  read(json, "scope", out.scope);
  return out;
}

Json contrast_json(const ContrastInfo& c) {
  return {{"name", c.name},
          {"first", c.first},
          {"second", c.second},
          {"family", c.family},
          {"margins", c.margins}};
}

ContrastInfo contrast_of(const Json& json, const std::string& primary_endpoint) {
  ContrastInfo out;
  read(json, "name", out.name);
  read(json, "first", out.first);
  read(json, "second", out.second);
  read(json, "family", out.family);
  if (json.contains("margins")) {
    read(json, "margins", out.margins);
    return out;
  }
  // Before there were margins by endpoint, the one that was given was the primary endpoint's.
  std::optional<double> margin;
  read(json, "margin", margin);
  if (margin) out.margins[primary_endpoint] = *margin;
  return out;
}

// Every plain field of a study, once for both directions: visit(name, member).
template <typename Study, typename Visit>
void for_each_field(Study& s, Visit visit) {
  visit("name", s.name);
  visit("title", s.title);
  visit("question", s.question);
  visit("model", s.model);
  visit("model_sha256", s.model_sha256);
  visit("architecture", s.architecture);
  visit("n_layers", s.n_layers);
  visit("n_kv_heads", s.n_kv_heads);
  visit("head_dim", s.head_dim);
  visit("window", s.window);
  visit("numerics", s.numerics);
  visit("fingerprint", s.fingerprint);
  visit("data_name", s.data_name);
  visit("data_version", s.data_version);
  visit("data_sha256", s.data_sha256);
  visit("history", s.history);
  visit("primary_endpoint", s.primary_endpoint);
  visit("alpha", s.alpha);
  visit("confirmatory_correction", s.confirmatory_correction);
  visit("exploratory_correction", s.exploratory_correction);
  visit("test", s.test);
  visit("statistics_seed", s.statistics_seed);
  visit("seeds", s.seeds);
  visit("rule_weight", s.rule_weight);
  visit("judge_weight", s.judge_weight);
  visit("map_conversations", s.map_conversations);
}

}  // namespace

std::string to_json(const StudyInfo& study) {
  Json out = Json::object();
  for_each_field(study, [&](const char* name, const auto& value) { out[name] = value; });
  if (study.inputs) out["inputs"] = *study.inputs;
  out["arms"] = Json::array();
  for (const ArmInfo& arm : study.arms) out["arms"].push_back(arm_json(arm));
  out["contrasts"] = Json::array();
  for (const ContrastInfo& contrast : study.contrasts) {
    out["contrasts"].push_back(contrast_json(contrast));
  }
  return dump_record(out);
}

StudyInfo study_from_json(const std::string& text) {
  const Json json = parse_record(text);
  StudyInfo out;
  for_each_field(out, [&](const char* name, auto& value) { read(json, name, value); });
  read(json, "inputs", out.inputs);
  for (const Json& arm : field(json, "arms")) out.arms.push_back(arm_of(arm));
  for (const Json& contrast : field(json, "contrasts")) {
    out.contrasts.push_back(contrast_of(contrast, out.primary_endpoint));
  }
  return out;
}

std::string to_json(const ConversationText& conversation) {
  Json out{{"id", conversation.id},
           {"conflict_type", conversation.conflict_type},
           {"domain", conversation.domain},
           {"instructions", Json::array()},
           {"turns", Json::array()}};
  for (const InstructionText& instruction : conversation.instructions) {
    out["instructions"].push_back(instruction_json(instruction));
  }
  for (const TurnText& turn : conversation.turns) out["turns"].push_back(turn_json(turn));
  return dump_record(out);
}

ConversationText conversation_from_json(const std::string& text) {
  const Json json = parse_record(text);
  ConversationText out;
  read(json, "id", out.id);
  read(json, "conflict_type", out.conflict_type);
  read(json, "domain", out.domain);
  for (const Json& instruction : field(json, "instructions")) {
    out.instructions.push_back(instruction_of(instruction));
  }
  for (const Json& turn : field(json, "turns")) out.turns.push_back(turn_of(turn));
  return out;
}

}  // namespace ebb::record
