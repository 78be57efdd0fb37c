#include "policy/allocator.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ebb::policy {
namespace {

std::vector<std::span<HeadWork>> by_layer(std::span<HeadWork> works) {
  std::vector<std::span<HeadWork>> layers;
  for (size_t begin = 0; begin < works.size();) {
    size_t end = begin;
    while (end < works.size() && works[end].layer == works[begin].layer) ++end;
    layers.push_back(works.subspan(begin, end - begin));
    begin = end;
  }
  return layers;
}

void set_count(HeadWork& work, int64_t count) {
  work.count = std::clamp<int64_t>(count, 0, work.n_cells());
}

struct Entry {
  float score;
  Ordinal ordinal;
  uint32_t head;
};

bool is_better(const Entry& a, const Entry& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.ordinal != b.ordinal) return a.ordinal > b.ordinal;
  return a.head < b.head;
}

// How many of the `n_best` highest entries each head has.
std::vector<int64_t> count_best(std::vector<Entry> entries, int64_t n_best, size_t n_heads) {
  n_best = std::min<int64_t>(n_best, static_cast<int64_t>(entries.size()));
  std::nth_element(entries.begin(), entries.begin() + n_best, entries.end(), is_better);
  std::vector<int64_t> counts(n_heads, 0);
  for (int64_t i = 0; i < n_best; ++i) ++counts[entries[static_cast<size_t>(i)].head];
  return counts;
}

// The share of a head's mass in its `n_top` best candidates.
float mass_share(const HeadWork& work, const std::vector<uint32_t>& candidates, int64_t n_top) {
  double all = 0.0;
  double top = 0.0;
  for (const uint32_t i : candidates) all += work.score[i];
  const int64_t n = std::min<int64_t>(n_top, static_cast<int64_t>(candidates.size()));
  for (const uint32_t i : top_cells(work.score, work.ordinals, candidates, n)) top += work.score[i];
  return all > 0.0 ? static_cast<float>(top / all) : 1.0F;
}

// Ada-KV (arXiv:2407.11550): B_h = (1 - alpha) * B*_h + alpha * base, B*_h the head's number of
// cells among the layer's best; the newest cells that the policy keeps anyway come on top of base.
// Deviation: shares are rounded so that they add up to the layer's budget exactly.
void mix_by_score(std::span<HeadWork> heads, const Allocator& allocator) {
  std::vector<Entry> entries;
  std::vector<int64_t> base;
  std::vector<int64_t> lower(heads.size(), 0);
  std::vector<int64_t> upper;
  std::vector<int64_t> n_forced;
  int64_t total = 0;
  for (uint32_t h = 0; h < heads.size(); ++h) {
    const HeadWork& work = heads[h];
    const std::vector<uint8_t> flags = stays_anyway(work, work.budget);
    std::vector<uint32_t> candidates;
    for (uint32_t i = 0; i < flags.size(); ++i) {
      if (flags[i] == 0) candidates.push_back(i);
    }
    n_forced.push_back(count_set(flags));
    base.push_back(work.budget - n_forced.back());
    upper.push_back(work.n_cells() - n_forced.back());
    total += base.back();
    const float weight = allocator.normalize ? mass_share(work, candidates, base.back()) : 1.0F;
    for (const uint32_t i : candidates)
      entries.push_back({work.score[i] * weight, work.ordinals[i], h});
  }
  const std::vector<int64_t> best = count_best(std::move(entries), total, heads.size());
  std::vector<int64_t> weights;
  const int64_t top = allocator.alpha.numerator();
  const int64_t bottom = allocator.alpha.denominator();
  for (size_t h = 0; h < heads.size(); ++h)
    weights.push_back((bottom - top) * best[h] + top * base[h]);
  const std::vector<int64_t> shares = apportion(total, weights, lower, upper);
  for (size_t h = 0; h < heads.size(); ++h) set_count(heads[h], shares[h] + n_forced[h]);
}

}  // namespace

std::vector<std::string> allocate_pyramid(const Allocator& allocator,
                                          std::span<const std::span<HeadWork>> layers);

void share_by_score(std::span<HeadWork> heads, const Ratio& alpha, int64_t least) {
  std::vector<Entry> entries;
  int64_t left = 0;
  for (uint32_t h = 0; h < heads.size(); ++h) {
    HeadWork& work = heads[h];
    std::vector<uint8_t> flags = stays_anyway(work, work.budget);
    const int64_t n_forced = count_set(flags);
    const int64_t n_safe = std::min(std::max(alpha.floor_of(work.budget), least), work.budget);
    std::vector<uint32_t> candidates;
    for (uint32_t i = 0; i < flags.size(); ++i) {
      if (flags[i] == 0) candidates.push_back(i);
    }
    if (n_safe > n_forced) {
      for (const uint32_t i : top_cells(work.score, work.ordinals, candidates, n_safe - n_forced)) {
        flags[i] = 1;
      }
    }
    set_count(work, std::max(n_safe, n_forced));
    left += work.budget - work.count;
    for (uint32_t i = 0; i < flags.size(); ++i) {
      if (flags[i] == 0) entries.push_back({work.score[i], work.ordinals[i], h});
    }
  }
  const std::vector<int64_t> more = count_best(std::move(entries), left, heads.size());
  for (size_t h = 0; h < heads.size(); ++h) set_count(heads[h], heads[h].count + more[h]);
}

std::vector<std::string> allocate(const Allocator& allocator, std::span<HeadWork> works) {
  const auto layers = by_layer(works);
  switch (allocator.kind) {
    case AllocatorKind::kUniform:
    case AllocatorKind::kSpanQuota:
    case AllocatorKind::kLayers:  // the evictor took these budgets from their table
    case AllocatorKind::kFile:
      for (HeadWork& work : works) set_count(work, work.budget);
      return {};
    case AllocatorKind::kPyramid:
    case AllocatorKind::kPyramidKvpress:
      return allocate_pyramid(allocator, layers);
    case AllocatorKind::kAdaFloor:
      // As kvpress: a floor, where there is one, is never below one cell.
      for (const auto& heads : layers) {
        share_by_score(heads, allocator.alpha, allocator.alpha.numerator() > 0 ? 1 : 0);
      }
      return {};
    case AllocatorKind::kAdaMix:
      for (const auto& heads : layers) mix_by_score(heads, allocator);
      return {};
    case AllocatorKind::kGlobal:
      share_by_score(works, allocator.alpha, 1);
      return {};
  }
  return {};
}

}  // namespace ebb::policy
