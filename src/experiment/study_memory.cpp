#include "experiment/study_memory.h"

#include <algorithm>

namespace ebb::experiment {
namespace {

// As the runner takes families up: while there are lanes left, and cells in memory.
size_t families_at_once(const StudyPlan& plan, const RunOptions& options) {
  const size_t n_units_each =
      std::max<size_t>(1, plan.n_units / std::max<size_t>(1, plan.n_families));
  const auto n_lanes = static_cast<size_t>(std::max(1, options.n_lanes_max));
  size_t n = (n_lanes + n_units_each - 1) / n_units_each;
  if (options.n_bytes_max > 0 && plan.n_bytes_family > 0) {
    n = std::min(n, static_cast<size_t>(options.n_bytes_max / plan.n_bytes_family));
  }
  return std::clamp<size_t>(n, 1, std::max<size_t>(1, plan.n_families));
}

}  // namespace

StudyMemory memory_of(const StudyContext& context, const StudyPlan& plan,
                      const RunOptions& options) {
  StudyMemory out;
  out.n_families = families_at_once(plan, options);
  std::vector<engine::SequenceNeed> sequences;
  for (size_t i = 0; i < out.n_families; ++i) {
    sequences.insert(sequences.end(), plan.family.begin(), plan.family.end());
  }
  out.n_sequences = sequences.size();
  // A prompt asks for one row of logits, a forced reply for all of its own.
  const size_t row_bytes = static_cast<size_t>(context.engine->config().n_vocab) * sizeof(float);
  const size_t n_reply = context.study->measures.fidelity
                             ? static_cast<size_t>(std::max<int64_t>(1, context.study->max_new))
                             : 1;
  const size_t n_rows =
      std::min(out.n_sequences * n_reply, kStepLogitBytesMax / row_bytes + n_reply);
  const engine::EngineOptions& compute = context.engine->options();
  // The graph holds those of one pass, the answer all; the plan counts both alike.
  const size_t n_both = n_rows + std::min(n_rows, static_cast<size_t>(compute.n_rows_max));
  out.plan = engine::plan_memory(context.engine->model(), compute, sequences, compute.n_rows_max,
                                 static_cast<int>((n_both + 1) / 2));
  out.plan.parts.push_back({"kept logits", out.n_families * plan.n_bytes_logits});
  return out;
}

}  // namespace ebb::experiment
