// The two real models against HF transformers in float32 on the dequantised weights
// (tests/fixtures/hf): plain, past the window, and after evictions in every position mode.
// The models are looked for in EBB_MODELS, then in ~/.cache/ebb/models; without them: skipped.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "base/error.h"
#include "bench/hf_golden.h"
#include "engine_fixture.h"

namespace ebb::engine {
namespace {

constexpr double kReferenceKl = 2e-5;
constexpr double kStrictKl = 5e-4;

std::filesystem::path models_folder() {
  if (const char* folder = std::getenv("EBB_MODELS"); folder != nullptr && *folder != 0) {
    return folder;
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "." : home) / ".cache/ebb/models";
}

class RealModel : public testing::Test {
 protected:
  // One engine per model and numerics for all tests of this process: loading repacks the weights.
  static Engine* engine(const std::string& file, Numerics numerics) {
    static std::map<std::pair<std::string, Numerics>, std::unique_ptr<Engine>> loaded;
    std::unique_ptr<Engine>& one = loaded[{file, numerics}];
    const std::filesystem::path path = models_folder() / file;
    if (one == nullptr && std::filesystem::exists(path)) {
      for (auto& [key, other] : loaded) other.reset();  // one at a time: float32 weights are large
      EngineOptions options;
      options.numerics = numerics;
      one = std::make_unique<Engine>(model::Model::load(path), options);
    }
    return one.get();
  }

  // Mean KL of the rows at `positions` from each golden, while feeding ids[first ..].
  static std::vector<double> kl_of(Engine& engine, Sequence& sequence,
                                   const std::vector<int32_t>& ids,
                                   const std::vector<size_t>& positions,
                                   const std::vector<std::string>& goldens) {
    std::vector<bench::HfGolden> rows;
    for (const std::string& golden : goldens) rows.emplace_back(fixture("hf/" + golden));
    std::vector<double> mean(goldens.size(), 0.0);
    for (size_t i = 0; i < positions.size(); ++i) {
      const size_t first = sequence.ids().size();
      const std::span<const int32_t> chunk =
          std::span(ids).subspan(first, positions[i] + 1 - first);
      const StepItem item{&sequence, chunk, {}, LogitRows::kLast};
      const StepLogits logits = engine.step(std::span(&item, 1));
      for (size_t g = 0; g < rows.size(); ++g) {
        EXPECT_EQ(rows[g].n_rows(), positions.size());
        mean[g] += rows[g].kl(i, logits.row(0)) / static_cast<double>(positions.size());
      }
    }
    const std::string key =
        goldens[0] + "." + std::string(numerics_name(engine.options().numerics));
    RecordProperty(key, fmt::format("{:.2e}", mean[0]));
    return mean;
  }
};

constexpr const char* kSmol = "SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr const char* kGemma = "gemma-3-270m-q4_k_m.gguf";

// Skips with what would have to be there.
// NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared takes none
#define EBB_NEED_ENGINE(variable, file, numerics)                                            \
  Engine* const variable = engine(file, numerics);                                           \
  if (variable == nullptr) {                                                                 \
    GTEST_SKIP() << "no " << (models_folder() / (file)).string() << "; ./dev setup gets it"; \
  }                                                                                          \
  static_assert(true)
// NOLINTEND(bugprone-macro-parentheses)

TEST_F(RealModel, PlainLogitsEqualTransformersFloat32) {
  for (const auto& [file, name] : {std::pair{kSmol, "smollm2"}, {kGemma, "gemma270m"}}) {
    const nlohmann::json about = read_json(fixture(std::string("hf/") + name + ".json"));
    const auto ids = about["ids"].get<std::vector<int32_t>>();
    const auto positions = about["positions"].get<std::vector<size_t>>();
    for (const auto& [numerics, bound] :
         {std::pair{Numerics::kReference, kReferenceKl}, {Numerics::kStrict, kStrictKl}}) {
      EBB_NEED_ENGINE(one, file, numerics);
      Sequence sequence = one->make_sequence(PositionMode::kOriginal);
      EXPECT_LE(kl_of(*one, sequence, ids, positions, {std::string(name) + ".plain"})[0], bound)
          << name << " " << numerics_name(numerics);
    }
  }
}

TEST_F(RealModel, GemmaPastItsWindowEqualsTransformersFloat32) {
  const nlohmann::json about = read_json(fixture("hf/gemma270m.json"));
  const auto ids = about["ids"].get<std::vector<int32_t>>();
  const auto positions = about["positions_long"].get<std::vector<size_t>>();
  for (const auto& [numerics, bound] :
       {std::pair{Numerics::kReference, kReferenceKl}, {Numerics::kStrict, kStrictKl}}) {
    EBB_NEED_ENGINE(one, kGemma, numerics);
    Sequence sequence = one->make_sequence(PositionMode::kOriginal);
    EXPECT_LE(kl_of(*one, sequence, ids, positions, {"gemma270m.long"})[0], bound);
  }
}

TEST_F(RealModel, EvictedCacheEqualsGatheredTransformersCacheInEveryPositionMode) {
  const nlohmann::json about = read_json(fixture("hf/smollm2.json"));
  const auto ids = about["ids"].get<std::vector<int32_t>>();
  const auto positions = about["positions_after_eviction"].get<std::vector<size_t>>();
  const auto evict_at = about["evict_at"].get<size_t>();
  const nlohmann::json kept = read_json(fixture("hf/smollm2.kept.json"))["kept"];
  for (const auto& [numerics, bound] :
       {std::pair{Numerics::kReference, kReferenceKl}, {Numerics::kStrict, kStrictKl}}) {
    EBB_NEED_ENGINE(one, kSmol, numerics);
    for (const auto& [mode, name] : {std::pair{PositionMode::kOriginal, "original"},
                                     {PositionMode::kCompact, "compact"},
                                     {PositionMode::kColliding, "colliding"}}) {
      Sequence sequence = one->make_sequence(mode);
      const StepItem prompt{&sequence, std::span(ids).first(evict_at), {}, LogitRows::kNone};
      one->step(std::span(&prompt, 1));
      one->evict(sequence, plan_of(sequence, kept));
      // The modes are orders of magnitude apart: another mode's golden must not fit.
      const std::string wrong = mode == PositionMode::kOriginal ? "compact" : "original";
      const std::vector<double> kl = kl_of(*one, sequence, ids, positions,
                                           {std::string("smollm2.") + name, "smollm2." + wrong});
      EXPECT_LE(kl[0], bound) << name << " " << numerics_name(numerics);
      EXPECT_GT(kl[1], 10 * kStrictKl) << name;
    }
  }
}

}  // namespace
}  // namespace ebb::engine
