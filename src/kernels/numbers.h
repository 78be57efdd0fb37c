// SIMD conversion between float32 and the number types of cells.
#pragma once

#include <cstddef>

#include "base/cell_type.h"

namespace ebb::kernels {

// Rounds to nearest even.  in: [n]; out: [n] numbers of `type`.
void from_floats(CellType type, const float* in, size_t n, void* out);
void to_floats(CellType type, const void* in, size_t n, float* out);

}  // namespace ebb::kernels
