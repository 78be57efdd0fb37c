#include "engine/cell_reader.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/numbers.h"

namespace ebb::engine {
namespace {

constexpr uint32_t kGroup = kv::CellFormat::kGroup;

// The place in the file's order of every HF channel.
std::vector<size_t> file_channels(model::RopeLayout layout, size_t head_dim) {
  std::vector<size_t> out(head_dim);
  const size_t half = head_dim / 2;
  for (size_t c = 0; c < head_dim; ++c) {
    const bool is_interleaved = layout == model::RopeLayout::kInterleaved;
    out[c] = !is_interleaved ? c : c < half ? 2 * c : 2 * (c - half) + 1;
  }
  return out;
}

}  // namespace

void read_keys(std::span<const kernels::CellRun> runs, const kv::CellFormat& format,
               model::RopeLayout layout, std::span<float> out) {
  const auto d = static_cast<size_t>(format.head_dim);
  const std::vector<size_t> channels = file_channels(layout, d);
  std::vector<float> group(d * kGroup);  // [16, head_dim]
  float* to = out.data();
  for (const kernels::CellRun& run : runs) {
    for (uint32_t first = run.begin; first < run.end;) {
      const uint32_t base = first / kGroup * kGroup;
      const uint32_t end = std::min(base + kGroup, run.end);
      kernels::to_floats(format.type, run.keys + format.key_at(base, 0) * format.number_bytes(),
                         group.size(), group.data());
      for (; first < end; ++first, to += d) {
        for (size_t c = 0; c < d; ++c) to[c] = group[channels[c] * kGroup + (first - base)];
      }
    }
  }
  EBB_CHECK(to == out.data() + out.size());
}

void read_values(std::span<const kernels::CellRun> runs, const kv::CellFormat& format,
                 std::span<float> out) {
  const auto d = static_cast<size_t>(format.head_dim);
  float* to = out.data();
  for (const kernels::CellRun& run : runs) {
    const size_t n = (run.end - run.begin) * d;
    kernels::to_floats(format.type,
                       run.values + format.value_at(run.begin, 0) * format.number_bytes(), n, to);
    to += n;
  }
  EBB_CHECK(to == out.data() + out.size());
}

}  // namespace ebb::engine
