// What the conformance suites of policies and of allocators share: one cache, one event, and
// parameters under which every method acts at that size.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "policy/catalogue.h"
#include "policy/fake_cache.h"
#include "policy/gather.h"

namespace ebb::policy::testing {

inline constexpr uint32_t kCells = 60;
inline constexpr uint32_t kTurnBegin = 32;
inline constexpr uint32_t kHeads = 6;  // 3 layers of 2

// Windows and blocks that act at 60 cells.
inline ParamMap small_params(const std::string& policy) {
  if (policy == "snapkv") return {{"window", "8"}, {"kernel", "3"}};
  if (policy == "lagkv") return {{"lag", "8"}};
  if (policy == "lagkv_recursive") return {{"lag", "8"}, {"n_sink", "4"}};
  if (policy == "streaming") return {{"keep_initial", "4"}};
  return {};
}

inline FakeCache full_cache(uint32_t n = kCells) {
  FakeCache cache(small_shape());
  cache.append(0, std::min(n, 10U), 0);
  if (n > 10) cache.append(10, std::min(n, kTurnBegin), 1);
  if (n > kTurnBegin) cache.append(kTurnBegin, n, 2);
  return cache;
}

inline EventInfo last_event(uint32_t n = kCells) {
  static const std::vector<SpanInfo> kSpans = {
      {.role = Role::kSystem, .turn = 0, .instruction_id = ""},
      {.role = Role::kInstruction, .turn = 0, .instruction_id = "short"},
      {.role = Role::kReply, .turn = 1, .instruction_id = ""}};
  EventInfo event = event_at(n);
  event.turn_begin = {kTurnBegin};
  event.spans = kSpans;
  return event;
}

// All but `full`, which evicts nothing.
inline std::vector<std::string> evicting_policies() {
  std::vector<std::string> names;
  for (const PolicySpec& spec : catalogue()) {
    if (spec.name != "full") names.push_back(spec.name);
  }
  return names;
}

inline ParamMap with(ParamMap base, const ParamMap& more) {
  for (const auto& [key, value] : more) base[key] = value;
  return base;
}

inline size_t n_total(const EvictionPlan& plan) {
  size_t n = 0;
  for (const auto& layer : plan.kept) {
    for (const auto& head : layer) n += head.size();
  }
  return n;
}

inline void expect_well_formed(const EvictionPlan& plan) {
  for (const auto& layer : plan.kept) {
    for (const auto& head : layer) {
      EXPECT_TRUE(std::is_sorted(head.begin(), head.end()));
      EXPECT_EQ(std::set<uint32_t>(head.begin(), head.end()).size(), head.size());
    }
  }
}

// The same value in every signal of a head.
inline void fill_signals(FakeHead& head, float value) {
  for (auto* signal : {&head.keys, &head.values, &head.attention_sum, &head.attention_window}) {
    std::fill(signal->begin(), signal->end(), value);
  }
}

// Gives the cells of every head in another order.
class Shuffled : public CacheSource {
 public:
  explicit Shuffled(FakeCache& cache) : cache_(cache) {}
  const std::vector<uint32_t>& order() const { return order_; }

  LayerView layer(int index) override {
    LayerView view = cache_.layer(index);
    const auto n = view.heads[0].n_cells();
    order_.resize(n);
    for (size_t i = 0; i < n; ++i) order_[i] = static_cast<uint32_t>((i * 7 + 3) % n);
    const std::vector<std::vector<uint32_t>> cells(view.heads.size(), order_);
    gathered_ = std::make_unique<GatheredLayer>(view, cache_.shape(), cells);
    return gathered_->view();
  }

 private:
  FakeCache& cache_;
  std::vector<uint32_t> order_;
  std::unique_ptr<GatheredLayer> gathered_;
};

// The plan of `treatment` with the cells of every head given in another order, as indices into the
// order of `cache`.
inline EvictionPlan plan_shuffled(FakeCache& cache, const Treatment& treatment, uint64_t seed) {
  Evictor evictor(treatment, cache.shape(), seed, "c");
  cache.set_window(kCells, std::max(1, evictor.needs().attention_window));
  Shuffled shuffled(cache);
  EvictionPlan plan = evictor.plan(shuffled, last_event());
  for (auto& layer : plan.kept) {
    for (auto& head : layer) {
      for (uint32_t& i : head) i = shuffled.order()[i];
      std::sort(head.begin(), head.end());
    }
  }
  return plan;
}

}  // namespace ebb::policy::testing
