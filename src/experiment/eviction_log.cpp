#include "experiment/eviction_log.h"

#include <nlohmann/json.hpp>

#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

using json = nlohmann::ordered_json;

json spans_json(const engine::EventRecord& event, const std::vector<model::TurnSpan>& spans) {
  json out = json::array();
  for (size_t i = 0; i < event.span_cells_before.size(); ++i) {
    if (event.span_cells_before[i] == 0) continue;
    out.push_back({{"span", i},
                   {"role", policy::to_text(spans[i].role)},
                   {"turn", spans[i].turn},
                   {"instruction", spans[i].instruction_id},
                   {"before", event.span_cells_before[i]},
                   {"after", event.span_cells_after[i]}});
  }
  return out;
}

json layers_json(const engine::EventRecord& event) {
  json out = json::array();
  for (size_t i = 0; i < event.layers.size(); ++i) {
    const engine::LayerCells& cells = event.layers[i];
    out.push_back({{"layer", i},
                   {"before", {cells.before.n_min, cells.before.n_max}},
                   {"after", {cells.after.n_min, cells.after.n_max}}});
  }
  return out;
}

json kept_json(const engine::EventRecord& event) {
  json out = json::array();
  for (const auto& heads : event.kept) {
    json layer = json::array();
    for (const auto& ranges : heads) layer.push_back(engine::ranges_text(ranges));
    out.push_back(std::move(layer));
  }
  return out;
}

}  // namespace

std::string eviction_lines(const engine::Session& session, std::string_view arm) {
  std::string out;
  for (const engine::TurnRecord& turn : session.turns()) {
    for (const engine::EventRecord& event : turn.events) {
      const json line{{"arm", arm},
                      {"conversation", session.options().conversation_id},
                      {"turn", event.turn},
                      {"event", policy::to_text(event.kind)},
                      {"n_logical", event.n_logical},
                      {"cells_before", event.n_cells_before},
                      {"cells_after", event.n_cells_after},
                      {"gone_by_treatment", event.loss.n_by_treatment},
                      {"gone_by_window", event.loss.n_by_architecture},
                      {"spans", spans_json(event, session.spans())},
                      {"layers", layers_json(event)},
                      {"kept", kept_json(event)},
                      {"notices", event.notices}};
      out += line.dump() + "\n";
    }
  }
  return out;
}

}  // namespace ebb::experiment
