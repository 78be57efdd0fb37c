// The gated activations of decoder blocks, by SIMD.
#pragma once

#include <cstddef>

namespace ebb::kernels {

// out[i] = silu(gate[i]) * up[i], silu(x) = x / (1 + exp(-x)).
void silu_mul(const float* gate, const float* up, size_t n, float* out);

// out[i] = gelu(gate[i]) * up[i], the tanh form: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
void gelu_mul(const float* gate, const float* up, size_t n, float* out);

}  // namespace ebb::kernels
