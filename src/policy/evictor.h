// Carries out one treatment on one sequence: asks the policy for scores layer by layer, shares the
// budget, selects, and checks that exactly the allotted number of cells stays. Removing cells is
// the engine's work.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "policy/policy.h"
#include "policy/selection.h"
#include "policy/treatment.h"
#include "policy/view.h"

namespace ebb::policy {

class Evictor {
 public:
  // Throws: kUsage with all problems when the treatment makes no sense on this cache.
  Evictor(Treatment treatment, CacheShape shape, uint64_t seed, std::string_view conversation_id);
  Evictor(Evictor&&) = default;

  Needs needs() const;
  // False also where the treatment can never remove anything at such an event.
  bool acts_on(EventKind kind) const;
  // Throws: kUsage when protected cells exceed a budget, kInternal naming policy, layer and head
  // when a score is not a number.
  EvictionPlan plan(CacheSource& source, const EventInfo& event);
  // For a fork: same treatment and keys, an own copy of what the policy remembers.
  Evictor clone() const;

  const Treatment& treatment() const { return treatment_; }
  bool layer_in_scope(int layer) const;

 private:
  using Kept = std::vector<std::vector<std::vector<uint32_t>>>;  // [layer][head][cell]
  struct Pass;

  Evictor(const Evictor& other);

  Kept run_pass(CacheSource& source, const EventInfo& event, const Pass& pass,
                std::vector<std::string>& notices);
  // Fills works[begin ...], one a head; cells null: all of them.
  void add_layer(const LayerView& view, const EventInfo& event, const Pass& pass,
                 const std::vector<std::vector<uint32_t>>* cells, std::vector<HeadWork>& works,
                 size_t begin);
  // Whether this layer holds, head by head, the cells that `works` was last made for, and the
  // policy looks at nothing else: what stays is then the same.
  bool repeats(const LayerView& view, std::span<const HeadWork> works) const;
  // Shares the budget among the works and puts what stays into `kept`.
  void settle(std::span<HeadWork> works, const EventInfo& event, const Pass& pass, Kept& kept,
              std::vector<std::string>& notices) const;
  void refine_layer(const LayerView& view, std::span<HeadWork> works) const;
  bool fits_untouched(const std::vector<size_t>& counts, const EventInfo& event,
                      const Pass& pass) const;
  // Cells per head before allocation, given the cells that the head has in scope; -1 = the policy's
  // own.
  int64_t base_budget(const EventInfo& event, const Pass& pass, int64_t n_cells) const;
  int64_t cells_for_bytes(CacheSource& source) const;

  Treatment treatment_;
  CacheShape shape_;
  KeyedRandom random_;
  std::unique_ptr<Policy> policy_;
  const PolicySpec* spec_;
};

}  // namespace ebb::policy
