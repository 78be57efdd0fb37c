// What happens to scores after a policy has given them: protected and forced cells, top-k with one
// tie rule, whole numbers that add up. Written once for every policy and allocator.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "policy/policy.h"
#include "policy/treatment.h"

namespace ebb::policy {

// One head's cells on their way through allocation and selection.
struct HeadWork {
  int layer = 0;
  int head = 0;
  std::vector<uint32_t> cells;    // which cells of the head are considered, ascending
  std::vector<Ordinal> ordinals;  // of those, as all that follow
  std::vector<SpanId> spans;
  std::vector<float> score;
  std::vector<float> second;  // second-stage scores of CriticalKV, or empty
  std::vector<uint8_t> is_protected;
  Forced forced;
  int64_t budget = 0;  // before allocation, at most n_cells()
  int64_t count = 0;   // after allocation

  int64_t n_cells() const { return static_cast<int64_t>(cells.size()); }
};

// Flags of the cells that stay before any score is looked at: protected ones, then the policy's
// sinks and newest cells as far as `count` goes.  Throws: kUsage when the protected cells exceed
// `count`.
std::vector<uint8_t> stays_anyway(const HeadWork& work, int64_t count);
int64_t count_set(const std::vector<uint8_t>& flags);

// Flags of cells taken out of the candidates by the treatment.
void flag_protected(const Protection& protection, std::span<const Ordinal> ordinals,
                    std::span<const SpanId> spans, const EventInfo& event,
                    std::vector<uint8_t>& flags);

// The `n_keep` best of `candidates` (indices into `scores`): higher score first, then the more
// recent ordinal. In no particular order.
std::vector<uint32_t> top_cells(std::span<const float> scores, std::span<const Ordinal> ordinals,
                                std::vector<uint32_t> candidates, int64_t n_keep);

// Exactly work.count indices into work.cells, ascending.
std::vector<uint32_t> select_cells(const HeadWork& work, const Allocator& allocator,
                                   const EventInfo& event);

// Replaces scores by the mean over chunks of `chunk` neighbouring cells and over the heads of a
// layer. Cells that stay anyway do not count.  Requires: every head holds the same cells.
void score_by_chunk(std::span<HeadWork> heads, int64_t chunk);

// Shares `total` in proportion to `weights` by largest remainder, within [lower, upper] each; equal
// remainders go to the later entry. The result adds up to `total` clamped to what the bounds allow.
std::vector<int64_t> apportion(int64_t total, std::span<const int64_t> weights,
                               std::span<const int64_t> lower, std::span<const int64_t> upper);

}  // namespace ebb::policy
