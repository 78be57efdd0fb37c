#include "policy/future_queries.h"

#include <cmath>

#include "base/error.h"

namespace ebb::policy {

double FutureQueries::mean_dot(std::span<const float> key) const {
  double sum = 0.0;
  for (size_t i = 0; i < key.size(); ++i) sum += mean[i] * key[i];
  return sum;
}

double FutureQueries::variance_along(std::span<const float> key) const {
  const size_t d = key.size();
  double total = 0.0;
  for (size_t a = 0; a < d; ++a) {
    const double* row = covariance.data() + a * d;
    double sum = 0.0;
    for (size_t b = 0; b < d; ++b) sum += row[b] * key[b];
    total += sum * key[a];
  }
  return total;
}

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

void MeanRotation::rotate(std::span<double> x, size_t stride) const {
  const size_t half = cosine_.size();
  for (size_t i = 0; i < half; ++i) {
    double& low = x[i * stride];
    double& high = x[(i + half) * stride];
    const double turned = cosine_[i] * low - sine_[i] * high;
    high = cosine_[i] * high + sine_[i] * low;
    low = turned;
  }
}

FutureQueries MeanRotation::apply(std::span<const float> mean,
                                  std::span<const float> covariance) const {
  const size_t d = mean.size();
  EBB_CHECK(d == 2 * cosine_.size() && covariance.size() == d * d);
  FutureQueries out;
  out.mean.assign(mean.begin(), mean.end());
  out.covariance.assign(covariance.begin(), covariance.end());
  rotate(out.mean, 1);
  const std::span<double> all(out.covariance);
  for (size_t row = 0; row < d; ++row) rotate(all.subspan(row * d, d), 1);       // S R^T
  for (size_t column = 0; column < d; ++column) rotate(all.subspan(column), d);  // R (S R^T)
  return out;
}

}  // namespace ebb::policy
