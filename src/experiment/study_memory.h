// What a run of a study will take from the machine at most, part by part, before it begins.
#pragma once

#include "experiment/study_plan.h"
#include "experiment/study_run.h"

namespace ebb::experiment {

struct StudyMemory {
  engine::MemoryPlan plan;
  size_t n_families = 0;   // conversations, each with all its arms and seeds, at once
  size_t n_sequences = 0;  // of all of them
};

// An upper bound: as if every conversation in flight were the largest, nothing were evicted and
// arms shared no cells. options: as run_study gets them.
StudyMemory memory_of(const StudyContext& context, const StudyPlan& plan,
                      const RunOptions& options);

}  // namespace ebb::experiment
