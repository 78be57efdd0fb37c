// Quantised tiny models against float32 on the dequantised weights, and against libllama's own
// logits (tests/fixtures/llama) with ggml's kernels; float32 models of every architecture against
// libllama's.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine_fixture.h"

namespace ebb::engine {
namespace {

constexpr const char* kModels[] = {"llama-f16",  "llama-bf16", "llama-q4_0", "llama-q4_1",
                                   "llama-q5_0", "llama-q5_1", "llama-q8_0", "llama-q4_k",
                                   "llama-q5_k", "llama-q6_k"};

// libllama reads Gemma's GELU from a half-precision table; elsewhere only the order of sums
// differs.
double farthest_from_libllama(const std::string& name) {
  return name.starts_with("gemma3") ? 1e-6 : 1e-10;
}

class Quantised : public testing::TestWithParam<const char*> {
 protected:
  std::vector<float> golden(const std::string& kind) const {
    return record::read_npy(fixture("llama/" + std::string(GetParam()) + kind + ".npy")).values;
  }
  // Mean divergence of this engine's logits from the golden's.
  double kl_to(const std::vector<float>& wanted, const EngineOptions& options) const {
    Engine engine(tiny_model(GetParam()), options);
    Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
    const std::vector<float> logits = run_all(engine, sequence, golden_ids());
    EXPECT_EQ(logits.size(), wanted.size());
    const double kl = mean_kl(wanted, logits, static_cast<size_t>(engine.config().n_vocab));
    testing::Test::RecordProperty("mean_kl", fmt::format("{:.2e}", kl));
    return kl;
  }
};
INSTANTIATE_TEST_SUITE_P(Models, Quantised, testing::ValuesIn(kModels), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(Quantised, ReferenceEqualsFloat32OnTheDequantisedWeights) {
  EXPECT_LE(kl_to(golden(".dequantised"), with_numerics(Numerics::kReference, 1)), 1e-9);
}

TEST_P(Quantised, StrictStaysCloseToFloat32) {
  EXPECT_LE(kl_to(golden(".dequantised"), with_numerics(Numerics::kStrict, 1)), 1e-6);
}

TEST_P(Quantised, FastIsAboutAsFarFromFloat32AsLibllama) {
  // Both round activations to 8 bits, ours but for the last feed-forward; ours has f16 cells.
  const std::vector<float> exact = golden(".dequantised");
  const double libllama = mean_kl(exact, golden(""), 288);
  EXPECT_LE(kl_to(exact, with_numerics(Numerics::kFast, 1)), std::max(1.5 * libllama, 1e-6));
}

TEST_P(Quantised, GgmlKernelsEqualLibllamaWithinItsOwnNoise) {
  EngineOptions options = with_numerics(Numerics::kFast, 1);
  options.kernels = LinearKernels::kGgml;
  options.cell_type = CellType::kF32;
  const std::vector<float> plain = golden("");
  const double noise = mean_kl(plain, golden(".flash"), 288);
  RecordProperty("noise", fmt::format("{:.2e}", noise));
  EXPECT_LE(kl_to(plain, options), 3 * noise);
}

// The last layer's matrices then meet one row.
TEST_P(Quantised, GgmlKernelsGiveTheLastRowWithoutTheOthers) {
  EngineOptions options = with_numerics(Numerics::kFast, 1);
  options.kernels = LinearKernels::kGgml;
  Engine engine(tiny_model(GetParam()), options);
  const std::vector<int32_t> ids = golden_ids();
  Sequence all = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> logits = run_all(engine, all, ids);
  Sequence last = engine.make_sequence(PositionMode::kOriginal);
  const StepItem item{&last, ids, {}, LogitRows::kLast};
  const StepLogits found = engine.step(std::span(&item, 1));
  const auto n_vocab = static_cast<size_t>(engine.config().n_vocab);
  ASSERT_EQ(found.values.size(), n_vocab);
  EXPECT_LE(mean_kl(std::span(logits).last(n_vocab), found.values, n_vocab), 1e-6);
}

class Architecture : public testing::TestWithParam<const char*> {};

TEST_P(Architecture, EqualsLibllamaInFloat32) {
  Engine engine(tiny_model(GetParam()), with_numerics(Numerics::kReference));
  Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> logits = run_all(engine, sequence, golden_ids());
  const std::vector<float> wanted =
      record::read_npy(fixture("llama/" + std::string(GetParam()) + ".npy")).values;
  ASSERT_EQ(logits.size(), wanted.size());
  const double kl = mean_kl(wanted, logits, static_cast<size_t>(engine.config().n_vocab));
  RecordProperty("mean_kl", fmt::format("{:.2e}", kl));
  EXPECT_LE(kl, farthest_from_libllama(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Float32, Architecture,
                         testing::Values("llama-f32", "llama3-f32", "llama-1layer-f32", "qwen2-f32",
                                         "qwen3-f32", "gemma3-f32", "gemma3-scaled-f32",
                                         "gemma3-sliding-f32"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace ebb::engine
