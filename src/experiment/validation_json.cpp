// The machine-readable form of a validation. Field names are a promise to whoever reads the file.
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiment/validation.h"

namespace ebb::experiment {
namespace {

using json = nlohmann::ordered_json;

// Whole numbers of cells stay whole in the file.
json number(double value) {
  const bool is_whole = std::floor(value) == value && std::abs(value) < 1e15;
  return is_whole ? json(static_cast<int64_t>(value)) : json(value);
}

json range(const CellRange& cells) {
  return {{"min", number(cells.min)}, {"mean", number(cells.mean)}, {"max", number(cells.max)}};
}

json layer_json(const LayerCells& layer) {
  const bool is_sliding = layer.layer_class == model::LayerClass::kSliding;
  return {{"layer", layer.layer},
          {"layer_class", is_sliding ? "sliding" : "global"},
          {"cells_before", range(layer.before)},
          {"cells_after", range(layer.after)}};
}

json turn_json(const TurnRecord& turn) {
  json layers = json::array();
  for (const LayerCells& layer : turn.layers) layers.push_back(layer_json(layer));
  return {{"turn", turn.turn},
          {"prompt_tokens", turn.prompt_tokens},
          {"generated_tokens", turn.generated_tokens},
          {"cells_before", number(turn.cells_before)},
          {"cells_after", number(turn.cells_after)},
          {"bytes_after", turn.bytes_after},
          {"bytes_cells", turn.bytes_cells},
          {"baseline_share", turn.baseline_share},
          {"reply", turn.reply},
          {"layers", std::move(layers)}};
}

json arm_json(const ArmRecord& arm) {
  json conversations = json::array();
  for (const ConversationRecord& conversation : arm.conversations) {
    json turns = json::array();
    for (const TurnRecord& turn : conversation.turns) turns.push_back(turn_json(turn));
    conversations.push_back({{"id", conversation.id}, {"turns", std::move(turns)}});
  }
  return {{"arm", arm.arm},
          {"positions", arm.positions},
          {"query_visible", arm.query_visible},
          {"conversations", std::move(conversations)}};
}

json memory_json(const MemoryRecord& memory) {
  return {{"weights", memory.weights},
          {"cache", memory.cache},
          {"activations", memory.activations},
          {"predicted_peak", memory.predicted_peak},
          {"measured_peak", memory.measured_peak},
          {"limit", memory.limit}};
}

}  // namespace

std::string to_json(const ValidationInput& input, const std::vector<Criterion>& criteria) {
  json arms = json::array();
  for (const ArmRecord& arm : input.arms) arms.push_back(arm_json(arm));
  json verdicts = json::array();
  for (const Criterion& criterion : criteria) {
    verdicts.push_back({{"name", criterion.name},
                        {"verdict", verdict_name(criterion.verdict)},
                        {"detail", criterion.detail}});
  }
  const json out = {{"model", input.model},
                    {"settings",
                     {{"keep_initial", input.keep_initial},
                      {"keep_recent", input.keep_recent},
                      {"retention", input.retention.text()}}},
                    {"memory_bytes", memory_json(input.memory)},
                    {"arms", std::move(arms)},
                    {"criteria", std::move(verdicts)}};
  // A reply that max-new cut inside a character is not valid UTF-8 at its end.
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace ebb::experiment
