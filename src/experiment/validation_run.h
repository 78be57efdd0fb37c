// Runs the plan's validation: three arms over a few conversations, all in one batch, and collects
// what validation.h judges. Prints nothing; a listener hears of every finished turn.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "experiment/conversation.h"
#include "experiment/validation.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "policy/treatment.h"

namespace ebb::experiment {

struct ValidationOptions {
  int64_t keep_initial = 50;
  int64_t keep_recent = 50;
  Ratio retention = Ratio::parse("0.5");
  int n_new_max = 100;
  uint64_t seed = 0;
  PositionMode positions = PositionMode::kOriginal;
  std::vector<policy::Treatment>
      further_arms;                     // beside the plan's three; they keep their own positions
  std::string* eviction_log = nullptr;  // takes one JSON line an event, or null
};

// Told once a turn is finished in all arms and conversations, and between steps.
struct ValidationListener {
  std::function<void(const std::vector<ArmRecord>& arms, size_t turn)> on_turn;
  std::function<void(size_t turn, int64_t n_tokens)> on_step;
};

// What one run can need at most, before anything is allocated.
engine::MemoryPlan plan_memory(const model::Model& model, const engine::EngineOptions& compute,
                               const model::Tokenizer& tokenizer, const model::ChatFormat& format,
                               const std::vector<Conversation>& conversations,
                               const ValidationOptions& options);

// Throws: kUsage for treatments that make no sense or conversations longer than the model was
// trained for; kOutOfMemory.
ValidationInput run_validation(engine::Engine& engine,
                               const std::shared_ptr<const model::Tokenizer>& tokenizer,
                               const model::ChatFormat& format,
                               const std::vector<Conversation>& conversations,
                               const ValidationOptions& options,
                               const ValidationListener& listener);

}  // namespace ebb::experiment
