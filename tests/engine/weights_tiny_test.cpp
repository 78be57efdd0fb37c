#include <gtest/gtest.h>

#include "engine/weights.h"
#include "engine_fixture.h"

namespace ebb::engine {
namespace {

using kernels::Arithmetic;

Arithmetic arithmetic_of_packed(const Linear& linear) { return linear.packed->arithmetic(); }

TEST(EngineWeights, OnlyTheLastFeedForwardIsFineInFast) {
  const auto model = tiny_model("llama-q4_1");
  const EngineWeights weights(*model, with_numerics(Numerics::kFast), 1);
  const int last = model->config().n_layers - 1;
  ASSERT_GT(last, 0);
  for (int i = 0; i <= last; ++i) {
    const LayerLinears& layer = weights.layer(i);
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.attn_out}) {
      EXPECT_EQ(arithmetic_of_packed(*linear), Arithmetic::kFast) << "layer " << i;
    }
    const Arithmetic forward = i == last ? Arithmetic::kFastFine : Arithmetic::kFast;
    for (const Linear* linear : {&layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      EXPECT_EQ(arithmetic_of_packed(*linear), forward) << "layer " << i;
    }
  }
  EXPECT_EQ(arithmetic_of_packed(weights.output()), Arithmetic::kFast);
}

TEST(EngineWeights, OtherNumericsHaveOneArithmetic) {
  const auto model = tiny_model("llama-q4_1");
  const std::pair<Numerics, Arithmetic> cases[] = {{Numerics::kStrict, Arithmetic::kStrict},
                                                   {Numerics::kReference, Arithmetic::kReference}};
  for (const auto& [numerics, expected] : cases) {
    const EngineWeights weights(*model, with_numerics(numerics), 1);
    const LayerLinears& last = weights.layer(model->config().n_layers - 1);
    for (const Linear* linear : {&last.q, &last.attn_out, &last.ffn_up, &last.ffn_down}) {
      EXPECT_EQ(arithmetic_of_packed(*linear), expected);
    }
  }
}

}  // namespace
}  // namespace ebb::engine
