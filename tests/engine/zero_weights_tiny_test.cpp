// A model file whose weights are all zero: nothing is wrong with it that a check could name, so it
// must run and give numbers, not NaN.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "engine/mutated_file.h"
#include "model/first_touch.h"

namespace ebb::engine {
namespace {

TEST(ZeroWeights, RunAndGiveFiniteLogits) {
  for (const char* name : {"llama-f32", "llama-q4_0", "llama-q6_k", "gemma3-f32", "qwen3-f32"}) {
    for (const Numerics numerics : {Numerics::kReference, Numerics::kStrict, Numerics::kFast}) {
      SCOPED_TRACE(name);
      std::vector<std::byte> bytes = bytes_of(name);
      const size_t header = model::GgufFile::view(bytes, name).header_bytes();
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end(), std::byte{0});
      const auto zero = model::Model::from_file(model::GgufFile::view(bytes, name));
      model::check_weights_finite(zero->file());
      Engine engine(zero, with_numerics(numerics, 1));
      Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
      const std::vector<float> logits = run_all(engine, sequence, random_ids(20, 3));
      EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float x) { return x == 0.0F; }));
    }
  }
}

}  // namespace
}  // namespace ebb::engine
