// One arm and seed of a family on its way. Internal to the family's sources.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "experiment/arm_input.h"
#include "experiment/family.h"

namespace ebb::experiment {

struct Family::Unit {
  const StudyArm* arm = nullptr;
  uint64_t seed = 0;
  Reference* reference = nullptr;
  std::vector<Exchange> exchanges;
  policy::Treatment treatment;
  UnitBuilder builder;
  UnitBuilder measure_builder;  // of the lane that is forced only to be measured
  std::unique_ptr<Lane> main = nullptr;
  std::unique_ptr<Lane> measure = nullptr;
  std::vector<FidelitySum> fidelity = {};                 // [n_turns]
  std::vector<std::optional<int>> turns_since_loss = {};  // [n_turns], as measured
  std::vector<record::RecallProbe> recall = {};
  bool is_measured_apart = false;  // by a lane of its own from the first turn on
  bool must_split = false;         // the main lane ends before the last turn
  std::optional<record::UnitRecord> done = {};
  std::vector<record::EventLine> events = {};
};

}  // namespace ebb::experiment
