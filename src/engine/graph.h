// Builds and computes the decoder graph of one step. Rebuilt every step: that costs about a tenth
// of a millisecond and keeps every shape honest. Internal to engine/.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/ops.h"
#include "engine/weights.h"

namespace ebb::engine {

struct StepRows {
  std::vector<RowBlock> blocks;
  std::vector<int32_t> ids;         // [n_rows]
  std::vector<uint8_t> observed;    // [n_rows]
  std::vector<int32_t> logit_rows;  // rows whose logits are wanted, ascending
};

class StepGraph {
 public:
  StepGraph(const model::Model& model, const EngineWeights& weights, const EngineOptions& options,
            int n_threads);
  ~StepGraph();

  // Begins a step over n_blocks sequences, and lists what each of them reads and writes: right
  // after its cells were appended, while what describes them is still in a cache.
  // Requires of plan_block(): the cells of the block's rows exist.  Throws: std::bad_alloc.
  void begin_step(size_t n_blocks);
  void plan_block(const RowBlock& block, size_t index);
  // Builds the step's graph and takes the memory that it needs. `logits` is where run() writes:
  // [n_vocab, logit_rows.size()].  Requires: every block was planned; rows and logits stay
  // until run().  Throws: kOutOfMemory, std::bad_alloc.
  void prepare(const StepRows& rows, std::span<float> logits);
  // Computes what was prepared.
  // Throws: kBackend when ggml refuses; what an operator threw, std::bad_alloc say.
  void run();

  size_t compute_bytes() const;

  // Channel rotation of a layer, also for reading and re-rotating keys.
  const kernels::RopeTable& rope(int layer) const;
  void reserve_positions(RopePos last);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb::engine
