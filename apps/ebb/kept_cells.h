// Which cells stay: from a policy or from a JSON file; and back to JSON.
#pragma once

#include <filesystem>
#include <string>

#include "engine/engine.h"
#include "policy/evictor.h"
#include "policy/treatment.h"

namespace ebb::app {

// A policy that will be asked once, at the end of a text; windows look through the raw tail.
class OneEvent {
 public:
  // Throws: kUsage for a treatment that makes no sense on this model.
  OneEvent(const engine::Engine& engine, const policy::Treatment& treatment, uint64_t seed);

  // A sequence that gathers what the policy needs.
  engine::Sequence make_sequence(const engine::Engine& engine) const;
  policy::EvictionPlan plan(const engine::Engine& engine, const engine::Sequence& sequence);

 private:
  policy::Evictor evictor_;
};

// {"kept": [layer][kv_head][ordinal ...]}: every ordinal must be a cell that is there.
// Throws: kBadData with layer, head and what was expected.
policy::EvictionPlan plan_from_file(const std::filesystem::path& path, const engine::Engine& engine,
                                    const engine::Sequence& sequence);

// The cells that a sequence holds now, as such a file.
std::string kept_json(const engine::Engine& engine, const engine::Sequence& sequence);

}  // namespace ebb::app
