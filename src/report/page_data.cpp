// The data behind the controls of report.html: conversations, replies and verdicts, cache maps.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "report/report_html.h"

namespace ebb::report {
namespace {

using nlohmann::json;

json conversation_json(const record::ConversationText& conversation) {
  json turns = json::array();
  for (const record::TurnText& turn : conversation.turns) {
    std::string instruction;
    for (const record::InstructionText& each : conversation.instructions) {
      if (!turn.instruction_id.empty() && each.id == turn.instruction_id) instruction = each.text;
    }
    turns.push_back({{"id", turn.turn_id},
                     {"speaker", turn.speaker},
                     {"instruction", instruction},
                     {"content", turn.content},
                     {"query", turn.query},
                     {"expected", turn.expected_behavior}});
  }
  return {{"id", conversation.id}, {"type", conversation.conflict_type}, {"turns", turns}};
}

json map_json(const record::CacheMap& map) {
  return {{"tokens", map.tokens},
          {"roles", map.roles},
          {"holders", map.n_holders},
          {"pairs", map.n_pairs}};
}

json unit_json(const record::UnitRecord& unit, const std::vector<const record::ItemScore*>& items) {
  json turns = json::array();
  for (const record::UnitTurn& turn : unit.turns) {
    json verdicts = json::array();
    for (const record::ItemScore* item : items) {
      if (item->turn_id != turn.turn_id) continue;
      json verdict{{"instruction", item->instruction_id},
                   {"class", item->instruction_class},
                   {"state", item->state},
                   {"detail", item->detail}};
      if (item->rule_strict) verdict["rules"] = *item->rule_strict;
      if (item->judge) verdict["judge"] = *item->judge;
      verdicts.push_back(std::move(verdict));
    }
    turns.push_back({{"id", turn.turn_id},
                     {"reply", turn.reply},
                     {"stop", turn.stop},
                     {"recorded", turn.is_recorded},
                     {"cells", turn.cells_after},
                     {"verdicts", std::move(verdicts)}});
  }
  json out{{"unit", unit.unit_id},
           {"arm", unit.arm},
           {"conversation", unit.conversation},
           {"seed", std::to_string(unit.seed)},  // a script's numbers hold 53 bits only
           {"turns", std::move(turns)}};
  if (unit.cache_map) out["map"] = map_json(*unit.cache_map);
  return out;
}

}  // namespace

std::string page_data(const StudyData& data) {
  std::map<std::string, std::vector<const record::ItemScore*>> items;
  for (const record::ItemScore& item : data.scores.items) items[item.unit_id].push_back(&item);
  json out{{"conversations", json::array()}, {"arms", json::array()}, {"units", json::array()}};
  for (const auto& each : data.conversations) {
    out["conversations"].push_back(conversation_json(each));
  }
  for (const auto& arm : data.study.arms) out["arms"].push_back(arm.name);
  for (const auto& unit : data.units) {
    out["units"].push_back(unit_json(unit, items[unit.unit_id]));
  }
  const std::string text = out.dump(-1, ' ', false, json::error_handler_t::replace);
  // "</script" would end the element: JSON may spell any < as an escape.
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace ebb::report
