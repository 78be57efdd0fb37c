// The kernels for matrix units on one made of plain code, for processors that have none.
#pragma once

#include "kernels/linear_kernels.h"

namespace ebb::kernels {

#if defined(__x86_64__)
// Requires: can_emulate_matrix().
const MatrixKernels& emulated_matrix_kernels();
bool can_emulate_matrix();
#endif

}  // namespace ebb::kernels
