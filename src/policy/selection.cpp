#include "policy/selection.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.h"
#include "policy/vector_math.h"

namespace ebb::policy {
namespace {

const SpanInfo& span_info(const EventInfo& event, SpanId id) {
  EBB_CHECK(id.value < event.spans.size());
  return event.spans[id.value];
}

bool contains(const auto& list, const auto& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

int64_t quota_key(const Allocator& allocator, const EventInfo& event, SpanId id) {
  switch (allocator.quota_by) {
    case QuotaBy::kSpan:
      return id.value;
    case QuotaBy::kTurn:
      return span_info(event, id).turn;
    case QuotaBy::kRole:
      return static_cast<int64_t>(span_info(event, id).role);
  }
  return 0;
}

std::vector<uint32_t> unset_of(const std::vector<uint8_t>& flags) {
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < flags.size(); ++i) {
    if (flags[i] == 0) out.push_back(i);
  }
  return out;
}

void set_all(std::vector<uint8_t>& flags, const std::vector<uint32_t>& indices) {
  for (const uint32_t i : indices) flags[i] = 1;
}

// CriticalKV: half of the budget goes by the first score, at least one cell.
int64_t first_stage(int64_t count) { return std::max<int64_t>(1, count / 2); }

// Keeps `n_keep` more of `candidates`: by the first score only, or half of `count` by the first and
// the rest by the second.
void keep_best(const HeadWork& work, std::vector<uint32_t> candidates, int64_t n_keep,
               int64_t n_first_stage, std::vector<uint8_t>& flags) {
  if (work.second.empty()) {
    set_all(flags, top_cells(work.score, work.ordinals, std::move(candidates), n_keep));
    return;
  }
  const int64_t n_first = std::clamp<int64_t>(n_first_stage, 0, n_keep);
  set_all(flags, top_cells(work.score, work.ordinals, candidates, n_first));
  std::erase_if(candidates, [&](uint32_t i) { return flags[i] != 0; });
  set_all(flags, top_cells(work.second, work.ordinals, std::move(candidates), n_keep - n_first));
}

void keep_by_quota(const HeadWork& work, const Allocator& allocator, const EventInfo& event,
                   std::vector<uint8_t>& flags) {
  std::map<int64_t, std::vector<uint32_t>> groups;
  for (uint32_t i = 0; i < work.cells.size(); ++i) {
    groups[quota_key(allocator, event, work.spans[i])].push_back(i);
  }
  std::vector<int64_t> sizes;
  std::vector<int64_t> lower;
  for (const auto& [key, members] : groups) {
    sizes.push_back(static_cast<int64_t>(members.size()));
    lower.push_back(
        std::count_if(members.begin(), members.end(), [&](uint32_t i) { return flags[i] != 0; }));
  }
  const auto quotas = apportion(work.count, sizes, lower, sizes);
  size_t g = 0;
  for (auto& [key, members] : groups) {
    std::erase_if(members, [&](uint32_t i) { return flags[i] != 0; });
    const int64_t n_keep = quotas[g] - lower[g];
    keep_best(work, std::move(members), n_keep, first_stage(quotas[g]) - lower[g], flags);
    ++g;
  }
}

// The tie rule: the higher score, then the more recent cell. worst_cell() turns it round.
bool beats(std::span<const float> scores, std::span<const Ordinal> ordinals, uint32_t a,
           uint32_t b) {
  if (scores[a] != scores[b]) return scores[a] > scores[b];
  return ordinals[a] > ordinals[b];
}

// Calls take(i) for every i below n that `wanted` says yes to. It is to be yes for a few only, and
// without a branch: the compiler then makes vectors of the search. With no more than sixteen at a
// time it would unroll them instead.
template <typename Wanted, typename Take>
void for_the_few(size_t n, Wanted wanted, Take take) {
  constexpr size_t kLanes = 64;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    unsigned n_wanted = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) n_wanted += wanted(i + lane) ? 1U : 0U;
    if (n_wanted == 0) continue;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      if (wanted(i + lane)) take(i + lane);
    }
  }
  for (; i < n; ++i) {
    if (wanted(i)) take(i);
  }
}

// A cap drops one cell a step: of the lowest scores the oldest.
uint32_t worst_cell(const HeadWork& work) {
  const std::vector<uint8_t> stays = stays_anyway(work, work.count);
  std::vector<float> scores(stays.size());  // those that stay out of the way
  for (size_t i = 0; i < scores.size(); ++i) {
    const float score = work.score[i];
    scores[i] = stays[i] != 0 ? std::numeric_limits<float>::infinity() : score;
  }
  const float worst_score = lowest(scores);
  size_t worst = scores.size();
  for_the_few(
      scores.size(), [&](size_t i) { return scores[i] == worst_score; },
      [&](size_t i) {
        if (stays[i] != 0) return;  // an infinite score of a cell that may go
        if (worst == scores.size() || work.ordinals[i] < work.ordinals[worst]) worst = i;
      });
  EBB_CHECK(worst < scores.size());
  return static_cast<uint32_t>(worst);
}

std::vector<uint32_t> all_but(uint32_t left_out, size_t n) {
  std::vector<uint32_t> out(n - 1);
  const auto middle = out.begin() + left_out;
  std::iota(out.begin(), middle, 0U);
  std::iota(middle, out.end(), left_out + 1);
  return out;
}

}  // namespace

int64_t count_set(const std::vector<uint8_t>& flags) {
  unsigned n = 0;
  for (const uint8_t flag : flags) n += flag;
  return n;
}

std::vector<uint8_t> stays_anyway(const HeadWork& work, int64_t count) {
  std::vector<uint8_t> flags = work.is_protected;
  flags.resize(work.cells.size(), 0);
  const int64_t n_protected = count_set(flags);
  if (n_protected > count) {
    throw Error::make(
        ErrorKind::kUsage,
        "layer {}, head {}: {} cells are protected but the budget is {}; protect less or "
        "raise the budget",
        work.layer, work.head, n_protected, count);
  }
  int64_t room = count - n_protected;
  std::vector<uint32_t> sinks;
  const auto first_behind = static_cast<uint32_t>(
      std::clamp<int64_t>(work.forced.first_ordinals, 0, std::numeric_limits<uint32_t>::max()));
  for_the_few(
      flags.size(), [&](size_t i) { return work.ordinals[i].value < first_behind; },
      [&](size_t i) {
        if (flags[i] == 0) sinks.push_back(static_cast<uint32_t>(i));
      });
  if (static_cast<int64_t>(sinks.size()) > room) {
    // The oldest of them, in whatever order the cells are listed.
    std::sort(sinks.begin(), sinks.end(),
              [&](uint32_t a, uint32_t b) { return work.ordinals[a] < work.ordinals[b]; });
    sinks.resize(static_cast<size_t>(room));
  }
  set_all(flags, sinks);
  room -= static_cast<int64_t>(sinks.size());
  const int64_t n_last = std::min(work.forced.last_cells, work.n_cells());
  for (int64_t back = 1; back <= n_last && room > 0; ++back) {
    uint8_t& flag = flags[flags.size() - static_cast<size_t>(back)];
    if (flag == 0) {
      flag = 1;
      --room;
    }
  }
  return flags;
}

void flag_protected(const Protection& protection, std::span<const Ordinal> ordinals,
                    std::span<const SpanId> spans, const EventInfo& event,
                    std::vector<uint8_t>& flags) {
  const bool looks_at_spans = !protection.roles.empty() || !protection.instruction_ids.empty();
  flags.assign(ordinals.size(), 0);
  if (!looks_at_spans && protection.first_ordinals == 0 && protection.last_cells == 0 &&
      protection.ordinals.empty()) {
    return;
  }
  for (size_t i = 0; i < ordinals.size(); ++i) {
    bool stays = ordinals[i].value < protection.first_ordinals ||
                 static_cast<int64_t>(ordinals.size() - i) <= protection.last_cells ||
                 contains(protection.ordinals, ordinals[i]);
    if (looks_at_spans && !stays) {
      const SpanInfo& info = span_info(event, spans[i]);
      stays = contains(protection.roles, info.role) ||
              (!info.instruction_id.empty() &&
               contains(protection.instruction_ids, info.instruction_id));
    }
    flags[i] = stays ? 1 : 0;
  }
}

std::vector<uint32_t> top_cells(std::span<const float> scores, std::span<const Ordinal> ordinals,
                                std::vector<uint32_t> candidates, int64_t n_keep) {
  EBB_CHECK(n_keep >= 0 && n_keep <= static_cast<int64_t>(candidates.size()));
  const auto is_better = [&](uint32_t a, uint32_t b) { return beats(scores, ordinals, a, b); };
  const auto cut = candidates.begin() + n_keep;
  if (cut != candidates.end()) {
    std::nth_element(candidates.begin(), cut, candidates.end(), is_better);
    candidates.erase(cut, candidates.end());
  }
  return candidates;
}

std::vector<uint32_t> select_cells(const HeadWork& work, const Allocator& allocator,
                                   const EventInfo& event) {
  EBB_CHECK(work.count >= 0 && work.count <= work.n_cells());
  const bool is_cap_step = work.count + 1 == work.n_cells() && work.second.empty() &&
                           allocator.kind != AllocatorKind::kSpanQuota;
  if (is_cap_step) return all_but(worst_cell(work), work.cells.size());
  std::vector<uint8_t> flags(work.cells.size(), 1);
  if (work.count < work.n_cells()) {
    flags = stays_anyway(work, work.count);
    if (allocator.kind == AllocatorKind::kSpanQuota) {
      keep_by_quota(work, allocator, event, flags);
    } else {
      const int64_t n_forced = count_set(flags);
      keep_best(work, unset_of(flags), work.count - n_forced, first_stage(work.count) - n_forced,
                flags);
    }
  }
  std::vector<uint32_t> kept;
  kept.reserve(flags.size());
  for (size_t i = 0; i < flags.size(); ++i) {
    if (flags[i] != 0) kept.push_back(static_cast<uint32_t>(i));
  }
  EBB_CHECK(static_cast<int64_t>(kept.size()) == work.count);
  return kept;
}

void score_by_chunk(std::span<HeadWork> heads, int64_t chunk) {
  if (heads.empty()) return;
  const size_t n_cells = heads[0].cells.size();
  std::vector<double> mean(n_cells, 0.0);
  for (const HeadWork& head : heads) {
    if (head.ordinals != heads[0].ordinals) {
      throw Error::make(
          ErrorKind::kUsage,
          "layer {}: whole chunks need the same cells in every head, but head {} differs "
          "from head 0",
          head.layer, head.head);
    }
    for (size_t i = 0; i < n_cells; ++i) mean[i] += head.score[i];
  }
  const std::vector<uint8_t> stays = stays_anyway(heads[0], heads[0].budget);
  const auto step = static_cast<size_t>(chunk);
  for (size_t begin = 0; begin < n_cells; begin += step) {
    const size_t end = std::min(begin + step, n_cells);
    double sum = 0.0;
    int n_counted = 0;
    for (size_t i = begin; i < end; ++i) {
      if (stays[i] != 0) continue;
      sum += mean[i];
      ++n_counted;
    }
    const double value = n_counted > 0 ? sum / n_counted : 0.0;
    for (HeadWork& head : heads) {
      for (size_t i = begin; i < end; ++i) head.score[i] = static_cast<float>(value);
    }
  }
}

}  // namespace ebb::policy
