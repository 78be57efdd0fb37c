#include "policy/evictor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "policy/allocator.h"
#include "policy/catalogue.h"
#include "policy/gather.h"
#include "policy/needs.h"
#include "policy/refine.h"

namespace ebb::policy {
namespace {

void set_to_all(std::vector<uint32_t>& cells, size_t n) {
  cells.resize(n);
  std::iota(cells.begin(), cells.end(), 0U);
}

std::vector<uint32_t> cells_from(std::span<const Ordinal> ordinals, Ordinal begin) {
  const auto first = std::lower_bound(ordinals.begin(), ordinals.end(), begin);
  std::vector<uint32_t> cells(static_cast<size_t>(ordinals.end() - first));
  std::iota(cells.begin(), cells.end(), static_cast<uint32_t>(first - ordinals.begin()));
  return cells;
}

// Without an early end, so that the compiler makes vectors of it.
bool has_nan(const std::vector<float>& values) {
  unsigned n_nan = 0;
  for (const float x : values) n_nan += std::isnan(x) ? 1U : 0U;
  return n_nan > 0;
}

// Byte by byte, several times faster than by their comparison.
template <typename Id>
bool holds_same(std::span<const Id> a, std::span<const Id> b) {
  static_assert(std::has_unique_object_representations_v<Id>);
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

Treatment checked(Treatment treatment, const CacheShape& shape) {
  const auto problems = problems_of(treatment, shape);
  if (!problems.empty()) {
    throw Error::make(ErrorKind::kUsage, "treatment '{}': {}", treatment.name,
                      fmt::join(problems, "; "));
  }
  return treatment;
}

bool needs_every_layer(AllocatorKind kind) {
  return kind == AllocatorKind::kGlobal || kind == AllocatorKind::kLayers ||
         kind == AllocatorKind::kFile || kind == AllocatorKind::kPyramid ||
         kind == AllocatorKind::kPyramidKvpress;
}

// What an allocator with counts of its own says.
std::optional<int64_t> table_entry(const Allocator& allocator, int layer, size_t head) {
  const auto l = static_cast<size_t>(layer);
  if (allocator.kind == AllocatorKind::kLayers) return allocator.layers.at(l);
  if (allocator.kind == AllocatorKind::kFile) return allocator.table.at(l).at(head);
  return std::nullopt;
}

}  // namespace

// One selection over a set of cells. A hybrid scope takes two.
struct Evictor::Pass {
  bool newest_turn = false;
  const Kept* survivors = nullptr;  // consider these only; null = all
  int64_t cap = -1;                 // fixed cells per head; -1 = the treatment's budget
  int64_t from_bytes = 0;           // cells per head that a byte budget comes to
};

Evictor::Evictor(Treatment treatment, CacheShape shape, uint64_t seed,
                 std::string_view conversation_id)
    : treatment_(checked(std::move(treatment), shape)),
      shape_(std::move(shape)),
      random_(seed, conversation_key(conversation_id), RandomUse::kEviction),
      spec_(&find_policy(treatment_.policy)) {
  policy_ = spec_->make(Params(spec_->params, treatment_.policy_params, spec_->name));
}

Evictor::Evictor(const Evictor& other)
    : treatment_(other.treatment_),
      shape_(other.shape_),
      random_(other.random_),
      policy_(other.policy_->clone()),
      spec_(other.spec_) {}

Evictor Evictor::clone() const { return *this; }

Needs Evictor::needs() const { return union_of(policy_->needs(), needs_of(treatment_.refine)); }

bool Evictor::acts_on(EventKind kind) const {
  return treatment_.policy != "full" && treatment_.trigger.includes(kind);
}

bool Evictor::layer_in_scope(int layer) const {
  if (policy_->skips_layer(layer)) return false;
  const bool is_sliding =
      !shape_.is_sliding.empty() && shape_.is_sliding[static_cast<size_t>(layer)];
  switch (treatment_.scope.layers) {
    case ScopeLayers::kAll:
      return true;
    case ScopeLayers::kGlobal:
      return !is_sliding;
    case ScopeLayers::kSliding:
      return is_sliding;
  }
  return true;
}

int64_t Evictor::cells_for_bytes(CacheSource& source) const {
  int64_t n_outside = 0;
  int64_t n_heads = 0;
  for (int layer = 0; layer < shape_.n_layers; ++layer) {
    if (layer_in_scope(layer)) {
      n_heads += shape_.n_kv_heads;
      continue;
    }
    for (const size_t n : source.cell_counts(layer)) n_outside += static_cast<int64_t>(n);
  }
  const int64_t n_total = treatment_.budget.size_bytes / static_cast<int64_t>(shape_.cell_bytes);
  if (n_heads == 0 || n_total - n_outside < n_heads) {
    throw Error::make(
        ErrorKind::kUsage,
        "treatment '{}': {} bytes hold {} cells, but the layers out of scope alone hold {} and "
        "{} heads need at least one each",
        treatment_.name, treatment_.budget.size_bytes, n_total, n_outside, n_heads);
  }
  return (n_total - n_outside) / n_heads;
}

int64_t Evictor::base_budget(const EventInfo& event, const Pass& pass, int64_t n_cells) const {
  const Budget& budget = treatment_.budget;
  const auto ratio_of = [&](int64_t n) { return std::max<int64_t>(1, budget.ratio.floor_of(n)); };
  int64_t cells = -1;
  if (pass.cap >= 0) {
    cells = pass.cap;
  } else if (budget.kind == BudgetKind::kCount) {
    cells = budget.count;
  } else if (budget.kind == BudgetKind::kBytes) {
    cells = pass.from_bytes;
  } else if (budget.kind == BudgetKind::kSchedule) {
    const auto turn = std::min(static_cast<size_t>(event.turn), budget.schedule.size() - 1);
    cells = budget.schedule[turn];
  } else if (budget.kind == BudgetKind::kRatio) {
    switch (budget.of) {
      case RatioOf::kPrompt:
        cells = ratio_of(event.n_prompt);
        break;
      case RatioOf::kTurn:
        cells = ratio_of(event.n_logical - event.turn_begin.value);
        break;
      case RatioOf::kLive:
        cells = ratio_of(n_cells);
        break;
      case RatioOf::kLogical:
        cells = ratio_of(event.n_logical);
        break;
    }
  }
  return cells < 0 ? -1 : std::max<int64_t>(0, cells - event.n_incoming);
}

bool Evictor::fits_untouched(const std::vector<size_t>& counts, const EventInfo& event,
                             const Pass& pass) const {
  if (pass.newest_turn || pass.survivors != nullptr ||
      needs_every_layer(treatment_.allocator.kind)) {
    return false;
  }
  return std::all_of(counts.begin(), counts.end(), [&](size_t n) {
    return static_cast<int64_t>(n) <= base_budget(event, pass, static_cast<int64_t>(n));
  });
}

void Evictor::refine_layer(const LayerView& view, std::span<HeadWork> works) const {
  if (treatment_.refine != Refine::kNone) {
    for (HeadWork& work : works) {
      const auto norms = value_norms(treatment_.refine, view, shape_, work.head);
      auto second = weighed(work.score, norms);
      (is_two_stage(treatment_.refine) ? work.second : work.score) = std::move(second);
    }
  }
  if (treatment_.chunk > 0) score_by_chunk(works, treatment_.chunk);
  for (const HeadWork& work : works) {
    for (const auto* scores : {&work.score, &work.second}) {
      if (!has_nan(*scores)) continue;
      const auto bad =
          std::find_if(scores->begin(), scores->end(), [](float x) { return std::isnan(x); });
      const size_t i = static_cast<size_t>(bad - scores->begin());
      throw Error::make(ErrorKind::kInternal,
                        "policy {}: the score of ordinal {} in layer {}, head {} is not a number",
                        spec_->name, work.ordinals[i].value, work.layer, work.head);
    }
  }
}

void Evictor::add_layer(const LayerView& view, const EventInfo& event, const Pass& pass,
                        const std::vector<std::vector<uint32_t>>* cells,
                        std::vector<HeadWork>& works, size_t begin) {
  works.resize(std::max(works.size(), begin + view.heads.size()));
  const std::span<HeadWork> mine = std::span(works).subspan(begin, view.heads.size());
  LayerScores scores;
  for (size_t h = 0; h < mine.size(); ++h) {
    std::vector<float>& row = scores.rows.emplace_back(std::move(mine[h].score));  // its memory
    row.assign(view.heads[h].n_cells(), 0.0F);
  }
  policy_->score({.event = event, .shape = shape_, .random = random_}, view, scores);
  for (size_t h = 0; h < mine.size(); ++h) {
    const HeadView& head = view.heads[h];
    EBB_CHECK(scores.rows[h].size() == head.n_cells());
    HeadWork& work = mine[h];
    work.layer = view.layer;
    work.head = static_cast<int>(h);
    if (cells != nullptr) {
      work.cells = (*cells)[h];
    } else if (work.cells.size() != head.n_cells()) {  // else it has them all from another layer
      set_to_all(work.cells, head.n_cells());
    }
    work.ordinals.assign(head.ordinals.begin(), head.ordinals.end());
    work.spans.assign(head.spans.begin(), head.spans.end());
    work.score = std::move(scores.rows[h]);
    work.second.clear();
    flag_protected(treatment_.protection, head.ordinals, head.spans, event, work.is_protected);
    int64_t budget = base_budget(event, pass, work.n_cells());
    if (pass.cap < 0) budget = table_entry(treatment_.allocator, view.layer, h).value_or(budget);
    if (budget < 0) {
      EBB_CHECK(scores.own_counts.size() == view.heads.size());
      budget = scores.own_counts[h];
    }
    work.budget = std::clamp<int64_t>(budget, 0, work.n_cells());
    work.forced = policy_->forced(view, work.head, work.budget);
  }
  refine_layer(view, mine);
}

bool Evictor::repeats(const LayerView& view, std::span<const HeadWork> works) const {
  // To refine is to look at values.
  if (!spec_->is_by_ordinals || treatment_.refine != Refine::kNone) return false;
  if (works.size() != view.heads.size()) return false;
  for (size_t h = 0; h < works.size(); ++h) {
    const HeadView& head = view.heads[h];
    if (!holds_same<Ordinal>(head.ordinals, works[h].ordinals)) return false;
    if (!holds_same<SpanId>(head.spans, works[h].spans)) return false;
  }
  return true;
}

void Evictor::settle(std::span<HeadWork> works, const EventInfo& event, const Pass& pass,
                     Kept& kept, std::vector<std::string>& notices) const {
  for (std::string& notice : allocate(treatment_.allocator, works)) {
    notices.push_back(std::move(notice));
  }
  for (const HeadWork& work : works) {
    auto& out = kept[static_cast<size_t>(work.layer)][static_cast<size_t>(work.head)];
    std::vector<uint32_t> selected = select_cells(work, treatment_.allocator, event);
    if (!pass.newest_turn && pass.survivors == nullptr) {  // all cells were considered
      out = std::move(selected);
      continue;
    }
    // Under newest_turn the cells before the turn stay; survivors are all there is.
    out.resize(pass.newest_turn && !work.cells.empty() ? work.cells.front()
               : pass.newest_turn                      ? out.size()
                                                       : 0);
    out.reserve(out.size() + selected.size());
    for (const uint32_t i : selected) out.push_back(work.cells[i]);
  }
}

Evictor::Kept Evictor::run_pass(CacheSource& source, const EventInfo& event, const Pass& pass,
                                std::vector<std::string>& notices) {
  Kept kept(static_cast<size_t>(shape_.n_layers));
  const bool considers_all = pass.survivors == nullptr && !pass.newest_turn;
  // An allocator that looks at one layer settles it at once, and its memory serves the next.
  const bool waits = needs_every_layer(treatment_.allocator.kind);
  std::vector<HeadWork> works;
  size_t n_works = 0;
  const Kept::value_type* settled = nullptr;  // what stays of the layer that `works` is of
  for (int layer = 0; layer < shape_.n_layers; ++layer) {
    auto& kept_layer = kept[static_cast<size_t>(layer)];
    const std::vector<size_t> counts = source.cell_counts(layer);
    kept_layer.resize(counts.size());
    const bool stays = !layer_in_scope(layer) || fits_untouched(counts, event, pass);
    if (stays || !considers_all) {
      for (size_t h = 0; h < counts.size(); ++h) set_to_all(kept_layer[h], counts[h]);
    }
    if (stays) continue;
    const LayerView view = source.layer(layer);
    EBB_CHECK(view.layer == layer && view.heads.size() == counts.size());
    const size_t begin = waits ? n_works : 0;
    n_works = begin + counts.size();
    if (settled != nullptr && repeats(view, works)) {
      kept_layer = *settled;
      continue;
    }
    if (considers_all) {
      add_layer(view, event, pass, nullptr, works, begin);
    } else {
      std::vector<std::vector<uint32_t>> cells = kept_layer;
      if (pass.survivors != nullptr) cells = (*pass.survivors)[static_cast<size_t>(layer)];
      for (size_t h = 0; pass.newest_turn && h < cells.size(); ++h) {
        cells[h] = cells_from(view.heads[h].ordinals, event.turn_begin);
      }
      const GatheredLayer part(view, shape_, cells);
      add_layer(part.view(), event, pass, &cells, works, begin);
    }
    if (waits) continue;
    settle(std::span(works).first(n_works), event, pass, kept, notices);
    if (considers_all) settled = &kept_layer;
  }
  if (waits) settle(std::span(works).first(n_works), event, pass, kept, notices);
  return kept;
}

EvictionPlan Evictor::plan(CacheSource& source, const EventInfo& event) {
  EvictionPlan plan;
  Pass pass;
  pass.newest_turn = treatment_.scope.cells != ScopeCells::kWhole;
  if (treatment_.budget.kind == BudgetKind::kBytes) pass.from_bytes = cells_for_bytes(source);
  plan.kept = run_pass(source, event, pass, plan.notices);
  if (treatment_.scope.cells != ScopeCells::kHybrid) return plan;

  const int64_t cap = treatment_.scope.hybrid_cap;
  bool is_over = false;
  for (int layer = 0; layer < shape_.n_layers; ++layer) {
    for (const auto& head : plan.kept[static_cast<size_t>(layer)]) {
      is_over |=
          layer_in_scope(layer) && static_cast<int64_t>(head.size()) > cap - event.n_incoming;
    }
  }
  if (is_over) {
    const Pass second{.newest_turn = false, .survivors = &plan.kept, .cap = cap, .from_bytes = 0};
    plan.kept = run_pass(source, event, second, plan.notices);
  }
  return plan;
}

}  // namespace ebb::policy
