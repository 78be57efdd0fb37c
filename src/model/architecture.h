// From GGUF metadata to ModelConfig: one small function for each architecture, and checks that the
// numbers make sense together. Tensors' shapes are checked later, by Model::load.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/gguf_file.h"

namespace ebb::model {

// Throws: kBadModel for an unknown architecture, a missing or senseless hyper-parameter, or a
// feature that the decoder does not have (partial rotary, yarn, experts ...). Nothing that would
// change the results is left out silently.
ModelConfig read_config(const GgufFile& file);

std::vector<std::string> supported_architectures();

}  // namespace ebb::model
