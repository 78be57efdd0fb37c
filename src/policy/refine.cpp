#include "policy/refine.h"

#include <cmath>

#include "base/error.h"

namespace ebb::policy {
namespace {

constexpr float kScoreOffset = 1e-4F;  // CriticalKV's epsilon

float norm_l2(std::span<const float> x) {
  double sum = 0.0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  return static_cast<float>(std::sqrt(sum));
}

// |W_o v|_1 with W_o [n_embd, head_dim] of one query head; `output` is scratch [n_embd].
double projected_l1(std::span<const float> weights, std::span<const float> value,
                    std::vector<float>& output) {
  std::fill(output.begin(), output.end(), 0.0F);
  for (size_t d = 0; d < value.size(); ++d) {
    const float* row = weights.data() + d * output.size();
    const float x = value[d];
    for (size_t e = 0; e < output.size(); ++e) output[e] += x * row[e];
  }
  double sum = 0.0;
  for (const float y : output) sum += std::fabs(y);
  return sum;
}

// G = W_o W_o^T of one query head, so that |W_o v|_2^2 = v^T G v.  [head_dim, head_dim]
std::vector<double> gram(std::span<const float> weights, size_t head_dim, size_t n_embd) {
  std::vector<double> out(head_dim * head_dim);
  for (size_t a = 0; a < head_dim; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      double sum = 0.0;
      const float* row_a = weights.data() + a * n_embd;
      const float* row_b = weights.data() + b * n_embd;
      for (size_t e = 0; e < n_embd; ++e) sum += static_cast<double>(row_a[e]) * row_b[e];
      out[a * head_dim + b] = sum;
      out[b * head_dim + a] = sum;
    }
  }
  return out;
}

double projected_l2(std::span<const double> g, std::span<const float> value) {
  double total = 0.0;
  for (size_t a = 0; a < value.size(); ++a) {
    double sum = 0.0;
    const double* row = g.data() + a * value.size();
    for (size_t b = 0; b < value.size(); ++b) sum += row[b] * value[b];
    total += sum * value[a];
  }
  return std::sqrt(std::max(total, 0.0));
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
    for (size_t t = 0; t < out.size(); ++t) out[t] = norm_l2(cells.values.subspan(t * d, d));
    return out;
  }
  const auto n_embd = static_cast<size_t>(shape.n_embd);
  const auto group = static_cast<size_t>(shape.group_size());
  EBB_CHECK(view.output_projection.size() == n_embd * d * static_cast<size_t>(shape.n_q_heads));
  std::vector<double> sums(out.size(), 0.0);
  std::vector<float> scratch(n_embd);
  for (size_t g = 0; g < group; ++g) {
    const size_t q = static_cast<size_t>(head) * group + g;
    const auto weights = view.output_projection.subspan(q * d * n_embd, d * n_embd);
    const bool is_l1 = refine == Refine::kCriticalL1;
    const std::vector<double> square = is_l1 ? std::vector<double>{} : gram(weights, d, n_embd);
    for (size_t t = 0; t < sums.size(); ++t) {
      const auto value = cells.values.subspan(t * d, d);
      sums[t] += is_l1 ? projected_l1(weights, value, scratch) : projected_l2(square, value);
    }
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
