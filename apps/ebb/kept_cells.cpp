#include "kept_cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_checks.h"
#include "command.h"
#include "engine/cache_source.h"
#include "policy/evictor.h"

namespace ebb::app {

OneEvent::OneEvent(const engine::Engine& engine, const policy::Treatment& treatment, uint64_t seed)
    : evictor_(treatment, engine.cache_shape(), seed, "") {}

engine::Sequence OneEvent::make_sequence(const engine::Engine& engine) const {
  return engine.make_sequence(evictor_.treatment().positions, evictor_.needs());
}

policy::EvictionPlan OneEvent::plan(const engine::Engine& engine,
                                    const engine::Sequence& sequence) {
  const policy::SpanInfo span{Role::kContent, 0, ""};
  policy::EventInfo event;
  event.kind = policy::EventKind::kTurnEnd;
  event.n_logical = sequence.next_ordinal().value;
  event.n_prompt = event.n_logical;
  event.spans = std::span(&span, 1);
  engine::EngineCacheSource source(engine, sequence, evictor_.needs());
  policy::EvictionPlan plan = evictor_.plan(source, event);
  for (const std::string& notice : plan.notices) fmt::print(stderr, "ebb: note: {}\n", notice);
  return plan;
}

policy::EvictionPlan plan_from_file(const std::filesystem::path& path, const engine::Engine& engine,
                                    const engine::Sequence& sequence) {
  const auto fail = [&](const std::string& what) {
    return Error::make(ErrorKind::kBadData, "{}: {}", path.string(), what);
  };
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(read_text(path));
  } catch (const nlohmann::json::exception& error) {
    throw fail(error.what());
  }
  const model::ModelConfig& config = engine.config();
  const auto n_layers = static_cast<size_t>(config.n_layers);
  const auto n_heads = static_cast<size_t>(config.n_kv_heads);
  if (!document.is_object() || !document.contains("kept") || !document["kept"].is_array() ||
      document["kept"].size() != n_layers) {
    throw fail(fmt::format("expected an object with \"kept\", an array of {} layers", n_layers));
  }
  policy::EvictionPlan plan;
  std::vector<Ordinal> there;
  for (size_t layer = 0; layer < n_layers; ++layer) {
    const nlohmann::json& heads = document["kept"][layer];
    if (!heads.is_array() || heads.size() != n_heads) {
      throw fail(fmt::format("layer {}: expected an array of {} KV heads", layer, n_heads));
    }
    plan.kept.emplace_back();
    for (size_t head = 0; head < n_heads; ++head) {
      const auto ordinals = integers_of<uint32_t>(heads[head]);
      if (!ordinals) {
        throw fail(fmt::format("layer {}, head {}: expected an array of ordinals", layer, head));
      }
      std::vector<uint32_t> wanted = *ordinals;
      std::sort(wanted.begin(), wanted.end());
      sequence.cells()
          .head(static_cast<int>(layer), static_cast<int>(head))
          .collect_ordinals(there);
      auto& kept = plan.kept.back().emplace_back();
      for (const uint32_t ordinal : wanted) {
        const auto at = std::lower_bound(there.begin(), there.end(), Ordinal{ordinal});
        if (at == there.end() || at->value != ordinal) {
          throw fail(fmt::format("layer {}, head {}: no cell with ordinal {} is there", layer, head,
                                 ordinal));
        }
        const auto index = static_cast<uint32_t>(at - there.begin());
        if (kept.empty() || kept.back() != index) kept.push_back(index);
      }
    }
  }
  return plan;
}

std::string kept_json(const engine::Engine& engine, const engine::Sequence& sequence) {
  nlohmann::json kept = nlohmann::json::array();
  std::vector<Ordinal> ordinals;
  for (int layer = 0; layer < engine.config().n_layers; ++layer) {
    nlohmann::json heads = nlohmann::json::array();
    for (int head = 0; head < engine.config().n_kv_heads; ++head) {
      sequence.cells().head(layer, head).collect_ordinals(ordinals);
      std::vector<uint32_t> values;
      for (const Ordinal ordinal : ordinals) values.push_back(ordinal.value);
      heads.push_back(std::move(values));
    }
    kept.push_back(std::move(heads));
  }
  return nlohmann::json{{"kept", std::move(kept)}}.dump() + "\n";
}

}  // namespace ebb::app
