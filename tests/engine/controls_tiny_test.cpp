// Negative controls: faults of the kind that the relations exist for, applied from outside, and the
// relations must see them. A mask off by one, a rotation forgotten or off by one, heads mixed up.
#include <gtest/gtest.h>

#include "engine_fixture.h"

namespace ebb::engine {
namespace {

constexpr const char* kModels[] = {"llama-f32", "qwen2-f32", "qwen3-f32", "gemma3-f32"};
// The relations hold bit for bit; a fault must be far outside any rounding.
constexpr double kFarOff = 1e-2;

class Fault : public testing::TestWithParam<const char*> {
 protected:
  Fault() : engine_(tiny_model(GetParam()), with_numerics(Numerics::kReference, 1)) {}

  Sequence prefilled(PositionMode mode = PositionMode::kOriginal) {
    Sequence sequence = engine_.make_sequence(mode);
    run_all(engine_, sequence, random_ids(40, 41));
    return sequence;
  }
  // How far the logits of the same next tokens are apart.
  double distance(Sequence& a, Sequence& b) {
    const std::vector<int32_t> next = random_ids(6, 42);
    return largest_difference(run_all(engine_, a, next), run_all(engine_, b, next));
  }

  Engine engine_;
};
INSTANTIATE_TEST_SUITE_P(Models, Fault, testing::ValuesIn(kModels), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(Fault, NoneOfThemIsAtWorkWithoutAFault) {
  Sequence evicted = prefilled();
  Sequence masked = evicted.fork();
  const policy::EvictionPlan plan = keep_randomly(evicted, 1, 50);
  engine_.evict(evicted, plan);
  engine_.hide_all_but(masked, plan);
  EXPECT_EQ(distance(evicted, masked), 0.0);
}

TEST_P(Fault, MaskOffByOneIsSeen) {
  Sequence evicted = prefilled();
  Sequence masked = evicted.fork();
  const policy::EvictionPlan plan = keep_randomly(evicted, 1, 50);
  policy::EvictionPlan shifted = plan;
  for (auto& layer : shifted.kept) {
    for (auto& head : layer) {
      for (uint32_t& cell : head) cell = cell == 0 ? 0 : cell - 1;
      head.erase(std::unique(head.begin(), head.end()), head.end());
    }
  }
  engine_.evict(evicted, plan);
  engine_.hide_all_but(masked, shifted);
  EXPECT_GT(distance(evicted, masked), kFarOff);
}

TEST_P(Fault, WrongHeadStrideIsSeen) {
  Sequence evicted = prefilled();
  Sequence masked = evicted.fork();
  const policy::EvictionPlan plan = keep_randomly(evicted, 1, 50);
  policy::EvictionPlan swapped = plan;
  for (auto& layer : swapped.kept) std::swap(layer.front(), layer.back());
  engine_.evict(evicted, plan);
  engine_.hide_all_but(masked, swapped);
  EXPECT_GT(distance(evicted, masked), kFarOff);
}

TEST_P(Fault, LayersMixedUpAreSeen) {
  if (engine_.config().window > 0) GTEST_SKIP() << "sliding and global layers differ in length";
  Sequence evicted = prefilled();
  Sequence masked = evicted.fork();
  const policy::EvictionPlan plan = keep_randomly(evicted, 1, 50);
  policy::EvictionPlan swapped = plan;
  std::swap(swapped.kept.front(), swapped.kept.back());
  engine_.evict(evicted, plan);
  engine_.hide_all_but(masked, swapped);
  EXPECT_GT(distance(evicted, masked), kFarOff);
}

TEST_P(Fault, ForgottenRotationIsSeen) {
  // Colliding mode is compact mode without turning the kept keys.
  Sequence turned = prefilled(PositionMode::kCompact);
  Sequence forgotten = prefilled(PositionMode::kColliding);
  const policy::EvictionPlan plan = keep_randomly(turned, 1, 50);
  engine_.evict(turned, plan);
  engine_.evict(forgotten, plan);
  EXPECT_GT(distance(turned, forgotten), kFarOff);
}

TEST_P(Fault, QueryOnePositionTooFarIsSeen) {
  // A token more, gone again from every layer and head: all that is left of it is the position.
  Sequence baseline = prefilled();
  Sequence late = baseline.fork();
  run_all(engine_, late, random_ids(1, 43));
  engine_.evict(late, plan_where(late, [](int, int, uint32_t ordinal) { return ordinal != 40; }));
  EXPECT_GT(distance(baseline, late), kFarOff);
}

TEST_P(Fault, OneCellTooManyOrTooFewIsSeen) {
  Sequence evicted = prefilled();
  Sequence masked = evicted.fork();
  engine_.evict(evicted, plan_where(evicted, [](int, int, uint32_t o) { return o > 33; }));
  engine_.hide_all_but(masked, plan_where(masked, [](int, int, uint32_t o) { return o > 34; }));
  EXPECT_GT(distance(evicted, masked), kFarOff);
}

}  // namespace
}  // namespace ebb::engine
