#include "policy/future_queries.h"

#include <cmath>

#include "base/error.h"

namespace ebb::policy {

MeanRotation::MeanRotation(std::span<const float> frequencies, int64_t first, int64_t n)
    : cosine_(frequencies.size(), 0.0), sine_(frequencies.size(), 0.0) {
  EBB_CHECK(n > 0);
  // The mean of e^(i p f) over a run of positions is a geometric sum:
  // e^(i f (first + (n - 1) / 2)) * sin(n f / 2) / (n sin(f / 2)).
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double f = frequencies[i];
    const double count = static_cast<double>(n);
    const double step = std::sin(f / 2.0);
    const double shrink =
        std::fabs(step) < 1e-12 ? 1.0 : std::sin(count * f / 2.0) / (count * step);
    const double middle = f * (static_cast<double>(first) + (count - 1.0) / 2.0);
    cosine_[i] = shrink * std::cos(middle);
    sine_[i] = shrink * std::sin(middle);
  }
}

FutureQueries MeanRotation::apply(std::span<const float> mean,
                                  std::span<const float> covariance) const {
  const size_t half = cosine_.size();
  const size_t d = mean.size();
  EBB_CHECK(d == 2 * half && covariance.size() == d * d);
  FutureQueries out;
  out.mean.resize(d);
  for (size_t i = 0; i < half; ++i) {
    out.mean[i] = cosine_[i] * mean[i] - sine_[i] * mean[i + half];
    out.mean[i + half] = cosine_[i] * mean[i + half] + sine_[i] * mean[i];
  }
  std::vector<double> turned(d * d);  // S R^T
  for (size_t row = 0; row < d; ++row) {
    const float* from = &covariance[row * d];
    double* to = &turned[row * d];
    for (size_t i = 0; i < half; ++i) {
      to[i] = cosine_[i] * from[i] - sine_[i] * from[i + half];
      to[i + half] = cosine_[i] * from[i + half] + sine_[i] * from[i];
    }
  }
  for (size_t i = 0; i < half; ++i) {  // R (S R^T)
    double* low = &turned[i * d];
    double* high = &turned[(i + half) * d];
    for (size_t c = 0; c < d; ++c) {
      const double next = cosine_[i] * low[c] - sine_[i] * high[c];
      high[c] = cosine_[i] * high[c] + sine_[i] * low[c];
      low[c] = next;
    }
  }
  out.upper.assign(d * d, 0.0F);
  for (size_t a = 0; a < d; ++a) {
    out.upper[a * d + a] = static_cast<float>(turned[a * d + a]);
    for (size_t b = a + 1; b < d; ++b) {
      out.upper[a * d + b] = static_cast<float>(2.0 * turned[a * d + b]);
    }
  }
  return out;
}

}  // namespace ebb::policy
