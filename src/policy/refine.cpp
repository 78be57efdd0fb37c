#include "policy/refine.h"

#include <cmath>

#include "base/error.h"
#include "policy/vector_math.h"

namespace ebb::policy {
namespace {

constexpr float kScoreOffset = 1e-4F;  // CriticalKV's epsilon

// G = W_o W_o^T of one query head, so that |W_o v|_2^2 = v^T G v; its upper triangle as
// quadratic_forms() takes it.  [head_dim, head_dim]
std::vector<float> gram(std::span<const float> weights, size_t head_dim, size_t n_embd) {
  std::vector<float> upper(head_dim * head_dim, 0.0F);
  for (size_t a = 0; a < head_dim; ++a) {
    const auto row = weights.subspan(a * n_embd, n_embd);
    for (size_t b = a; b < head_dim; ++b) {
      const double sum = dot(row, weights.subspan(b * n_embd, n_embd));
      upper[a * head_dim + b] = static_cast<float>(a == b ? sum : 2.0 * sum);
    }
  }
  return upper;
}

// |W_o v|_2 of every value.
void projected_l2(std::span<const float> weights, std::span<const float> values, size_t head_dim,
                  size_t n_embd, std::span<double> out) {
  quadratic_forms(gram(weights, head_dim, n_embd), values, out);
  for (double& norm : out) norm = norm < 0.0 ? 0.0 : std::sqrt(norm);  // a NaN stays one
}

}  // namespace

Needs needs_of(Refine refine) {
  Needs needs;
  needs.values = refine != Refine::kNone;
  needs.output_projection = refine != Refine::kNone && refine != Refine::kValueNorm;
  return needs;
}

std::vector<float> value_norms(Refine refine, const LayerView& view, const CacheShape& shape,
                               int head) {
  const HeadView& cells = view.heads[static_cast<size_t>(head)];
  const auto d = static_cast<size_t>(shape.head_dim);
  std::vector<float> out(cells.n_cells(), 0.0F);
  EBB_CHECK(cells.values.size() == cells.n_cells() * d);
  if (refine == Refine::kValueNorm) {
    for (size_t t = 0; t < out.size(); ++t) {
      out[t] = static_cast<float>(norm2(cells.values.subspan(t * d, d)));
    }
    return out;
  }
  const auto n_embd = static_cast<size_t>(shape.n_embd);
  const auto group = static_cast<size_t>(shape.group_size());
  EBB_CHECK(view.output_projection.size() == n_embd * d * static_cast<size_t>(shape.n_q_heads));
  std::vector<double> sums(out.size(), 0.0);
  std::vector<double> norms(out.size());
  for (size_t g = 0; g < group; ++g) {
    const size_t q = static_cast<size_t>(head) * group + g;
    const auto weights = view.output_projection.subspan(q * d * n_embd, d * n_embd);
    if (refine == Refine::kCriticalL1) {
      projected_l1(weights, cells.values, n_embd, norms);
    } else {
      projected_l2(weights, cells.values, d, n_embd, norms);
    }
    for (size_t t = 0; t < sums.size(); ++t) sums[t] += norms[t];
  }
  for (size_t t = 0; t < out.size(); ++t)
    out[t] = static_cast<float>(sums[t] / static_cast<double>(group));
  return out;
}

std::vector<float> weighed(std::span<const float> score, std::span<const float> norms) {
  EBB_CHECK(score.size() == norms.size());
  std::vector<float> out(score.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = (score[i] + kScoreOffset) * norms[i];
  return out;
}

}  // namespace ebb::policy
