// Sums over float vectors, under the names that policies use.
#pragma once

#include "kernels/vector_math.h"

namespace ebb::policy {

using kernels::add_scaled;
using kernels::dot;
using kernels::exponentiate;
using kernels::lowest;
using kernels::MeanAndSpread;
using kernels::norm2;
using kernels::projected_l1;
using kernels::quadratic_forms;
using kernels::spread_of;

}  // namespace ebb::policy
