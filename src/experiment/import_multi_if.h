// Multi-IF: a CSV with up to three turns a row, each with a growing list of rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "experiment/conversation.h"
#include "experiment/import_rules.h"

namespace ebb::experiment {

// A turn's rules are those that the turn before did not have; where the lists do not go on from
// each other, the new instruction overrides the old one.
// Throws: kBadData with file and line, what was found and what was expected.
std::vector<Conversation> read_multi_if(std::string_view text, const std::string& where,
                                        RuleImport& import);

}  // namespace ebb::experiment
