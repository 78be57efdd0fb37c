// Sums of vectors and of their outer products: the moments that policies ask of queries.
#pragma once

#include <cstddef>

namespace ebb::kernels {

// sum[a] += x[a] and outer[a, b] += x[a] x[b] for b >= a and every row x, oldest first: each
// element is one chain over the rows, so that it does not matter how rows are cut into calls. Below
// the diagonal whole vectors may be added too; what stands there has no meaning. Shape: rows [dim,
// n_rows], `stride` apart; sum [dim]; outer [dim, dim].
void add_outer_products(const float* rows, size_t stride, size_t n_rows, size_t dim, float* sum,
                        float* outer);

}  // namespace ebb::kernels
