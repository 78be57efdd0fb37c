#include "experiment/eviction_log.h"

#include <nlohmann/json.hpp>

#include "base/sha256.h"
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

std::vector<std::string> eviction_lines(const engine::Session& session, const EventLabels& labels) {
  std::vector<std::string> out;
  for (const engine::TurnRecord& turn : session.turns()) {
    for (const engine::EventRecord& event : turn.events) {
      json line = json::object();
      if (!labels.unit_id.empty()) line["unit"] = labels.unit_id;
      line["arm"] = labels.arm;
      line["conversation"] = session.options().conversation_id;
      line["turn"] = event.turn;
      line["event"] = policy::to_text(event.kind);
      line["n_logical"] = event.n_logical;
      line["cells_before"] = event.n_cells_before;
      line["cells_after"] = event.n_cells_after;
      line["gone_by_treatment"] = event.loss.n_by_treatment;
      line["gone_by_window"] = event.loss.n_by_architecture;
      line["spans"] = spans_json(event, session.spans());
      line["layers"] = layers_json(event);
      json kept = kept_json(event);
      if (labels.kept == KeptForm::kRanges) {
        line["kept"] = std::move(kept);
      } else {
        line["kept_sha256"] = sha256_hex(kept.dump());
      }
      line["notices"] = event.notices;
      out.push_back(line.dump());
    }
  }
  return out;
}

}  // namespace ebb::experiment
