// What a run will take from the machine, part by part, before anything is allocated.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/options.h"
#include "model/model.h"
#include "policy/treatment.h"
#include "policy/view.h"

namespace ebb::engine {

// One sequence at its largest.
struct SequenceNeed {
  int64_t n_cells = 0;  // of every global layer and KV head; sliding layers hold a window at most
  PositionMode positions = PositionMode::kOriginal;
  policy::Needs needs = {};
};

// Throws: kUsage where the treatment makes no sense for the model.
SequenceNeed sequence_need(const model::ModelConfig& config, const policy::Treatment& treatment,
                           int64_t n_cells);

struct MemoryPart {
  std::string name;
  uint64_t n_bytes = 0;
};

struct MemoryPlan {
  std::vector<MemoryPart> parts;  // memory of the run alone: nothing can take it back
  // Pages of the model file that are looked at: the system may drop them.
  uint64_t file_bytes = 0;
  // While weights are packed, before any cell is there: the largest of them is in memory twice.
  uint64_t loading_bytes = 0;
  uint64_t total() const;           // of the parts
  uint64_t predicted_peak() const;  // resident memory at its highest, file pages included
};

// n_rows and n_logit_rows: the largest step.
MemoryPlan plan_memory(const model::Model& model, const EngineOptions& options,
                       std::span<const SequenceNeed> sequences, int n_rows, int n_logit_rows);

// Bytes of activations and logits of one step.
uint64_t predict_step_bytes(const model::ModelConfig& config, int n_rows, int n_logit_rows);

// What a policy may know of a model's cache.
policy::CacheShape cache_shape_of(const model::ModelConfig& config, size_t cell_bytes);

}  // namespace ebb::engine
