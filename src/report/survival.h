// What is left of every instruction, layer by layer and head by head, in the cache that the last
// reply was made from; beside it whether the reply obeyed and what the recall probe said.
#pragma once

#include <string>
#include <vector>

#include "report/study_data.h"

namespace ebb::report {

// One row a unit, instruction, layer and KV head. Instructions that the last turn gives have none:
// nothing was evicted since. Records of before the cells were kept have none either.
std::string survival_csv(const StudyData& data);

// Of one arm: share of its instructions' cells that each layer holds, mean over KV heads and
// instructions, then seeds, then conversations.
struct LayerShares {
  std::string arm = {};
  std::vector<double> shares = {};  // [n_layers]
  size_t n_conversations = 0;
};
// Arms in the study's order; those without any such record are left out.
std::vector<LayerShares> layer_shares(const StudyData& data);

}  // namespace ebb::report
