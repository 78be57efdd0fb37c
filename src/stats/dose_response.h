// The curve of an outcome on a dose (share of a span's cells left) within conversations: bins, or
// bins made monotone, with cluster bootstrap intervals, and the slope through them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/checks.h"
#include "stats/within_slope.h"

namespace ebb::stats {

enum class CurveShape { kFree, kIncreasing, kDecreasing };

enum class CurveLevel {
  kWithin,  // bins and conversations both have effects; conversations' levels are taken out
  kPooled,  // plain means of all points of a bin
};

struct DoseOptions {
  std::vector<double> edges =
      {};  // ascending, of the bins; empty: n_bins of about equally many points
  size_t n_bins = 8;
  CurveShape shape = CurveShape::kFree;
  CurveLevel level = CurveLevel::kWithin;
  double confidence = 0.95;
  size_t n_draws = 1'999;
  uint64_t seed = 0;
  uint64_t stream = 0;
  std::span<const uint32_t> drawn = {};  // [n_draws][n_clusters], replaces seed, stream and n_draws
};

struct DoseBin {
  double low = 0;  // [low, high), the last bin includes its upper edge
  double high = 0;
  size_t n_points = 0;
  size_t n_clusters = 0;
  double mean_x = 0;             // 0 where empty
  std::optional<double> y = {};  // absent where empty, or not linked to other bins by any cluster
  std::optional<Interval> interval = {};  // pointwise percentile interval over conversations
};

struct DoseResponse {
  std::vector<DoseBin> bins = {};
  WithinSlope slope = {};
  std::string method = {};
};

// With kWithin the curve is the least-squares fit y = conversation + bin, shifted so that its mean
// over all points is the mean of y. Monotone shapes: weighted least squares by pooling neighbours.
// Throws: kInternal for no points, NaN or different sizes; kUsage for edges that do not ascend, do
// not hold all x, or for no bins.
DoseResponse dose_response(std::span<const double> x, std::span<const double> y,
                           std::span<const uint32_t> cluster, const DoseOptions& options = {});

// Weighted isotonic regression by pooling adjacent violators.  Requires: weights > 0.
std::vector<double> isotonic(std::span<const double> y, std::span<const double> weights,
                             CurveShape shape);

}  // namespace ebb::stats
