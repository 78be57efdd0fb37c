// Root-mean-square norm, by SIMD.
#pragma once

#include <cstddef>

namespace ebb::kernels {

// out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]; out may be x. The squares are summed in double
// in eight partial sums, number i in sum i % 8 and the last n % 8 of them in the first, whatever
// the instruction set.
// Source: Zhang and Sennrich, arXiv:1910.07467.
void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out);

}  // namespace ebb::kernels
