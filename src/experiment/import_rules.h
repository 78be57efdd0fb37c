// Rules of IFEval's files as JSON texts that eval reads. Does not judge parameters.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/conversation.h"
#include "experiment/json_item.h"

namespace ebb::experiment {

// Collects the rules of rows, and counts what it has to leave out.
class RuleImport {
 public:
  // `ids` and `parameters` are of equal length and go together; nulls in parameters are dropped.
  // `item` is named in errors, with `field`.
  std::vector<std::string> rules(const Item& item, const std::string& field,
                                 const nlohmann::json& ids, const nlohmann::json& parameters);

  // One line an unknown id.
  std::vector<std::string> notices() const;

 private:
  std::map<std::string, int> n_unknown_;
};

}  // namespace ebb::experiment
