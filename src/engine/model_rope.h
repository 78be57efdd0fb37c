// The rotation of a model's layers, from what its file says of it.
#pragma once

#include "kernels/rope.h"
#include "model/config.h"

namespace ebb::engine {

// For the layers that `spec` is of: sliding ones or global ones.
kernels::RopeTable make_rope(const model::RopeSpec& spec, const model::ModelConfig& config);

}  // namespace ebb::engine
