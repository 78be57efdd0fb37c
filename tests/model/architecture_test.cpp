// What each architecture makes of its metadata. Expected numbers are worked out by hand from the
// models' publications, not from the reader.
#include "model/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "model/gguf_builder.h"

namespace ebb::model {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::small_llama;
using testing::small_model;

constexpr LayerClass G = LayerClass::kGlobal;
constexpr LayerClass S = LayerClass::kSliding;

ModelConfig config_of(const GgufBuilder& builder) {
  const std::vector<std::byte> bytes = builder.build();
  return read_config(GgufFile::view(bytes, "test.gguf"));
}

std::string refusal_of(const GgufBuilder& builder) {
  try {
    config_of(builder);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Architecture, LlamaHasInterleavedRopeAndNothingExtra) {
  const ModelConfig c = config_of(small_llama());
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.name, "small");
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.group_size(), 2);
  EXPECT_EQ(c.rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(c.activation, Activation::kSilu);
  EXPECT_FALSE(c.has_qkv_bias || c.has_qk_norm || c.has_post_norms);
  EXPECT_TRUE(c.has_tied_head);
  EXPECT_FLOAT_EQ(c.attention_scale, 0.25F);
  EXPECT_FLOAT_EQ(c.embedding_scale, 1.0F);
  EXPECT_THAT(c.layer_class, Each(G));
}

TEST(Architecture, AnOutputMatrixOfItsOwnUntiesTheHead) {
  EXPECT_FALSE(config_of(small_llama().add_f32("output.weight", {32, 16})).has_tied_head);
}

TEST(Architecture, Llama3RopeFactorsComeFromTheTensor) {
  GgufBuilder b = small_llama();
  b.add_f32("rope_freqs.weight", {8});
  b.tensor("rope_freqs.weight").values = {1, 1, 1, 2, 4, 8, 8, 8};
  EXPECT_THAT(config_of(b).rope_global.freq_factors, ElementsAre(1, 1, 1, 2, 4, 8, 8, 8));
}

TEST(Architecture, LinearScalingDividesPositions) {
  EXPECT_FLOAT_EQ(
      config_of(small_llama().set("llama.rope.scaling.factor", 4.0F)).rope_global.position_scale,
      0.25F);
  EXPECT_FLOAT_EQ(
      config_of(small_llama().set("llama.rope.scale_linear", 8.0F)).rope_global.position_scale,
      0.125F);
  GgufBuilder none = small_llama();
  none.set("llama.rope.scaling.factor", 4.0F).set_text("llama.rope.scaling.type", "none");
  EXPECT_FLOAT_EQ(config_of(none).rope_global.position_scale, 1.0F);
}

TEST(Architecture, MistralsWindowMakesEveryLayerSliding) {
  const ModelConfig c =
      config_of(small_llama().set<uint32_t>("llama.attention.sliding_window", 32));
  EXPECT_EQ(c.window, 32);
  EXPECT_THAT(c.layer_class, Each(S));
  EXPECT_FLOAT_EQ(c.rope_sliding.base, c.rope_global.base);
}

TEST(Architecture, AWindowOfTheWholeContextHidesNothing) {
  const ModelConfig c =
      config_of(small_llama().set<uint32_t>("llama.attention.sliding_window", 128));
  EXPECT_EQ(c.window, 0);
  EXPECT_THAT(c.layer_class, Each(G));
}

TEST(Architecture, Qwen2HasBiasesAndHalfSplitRope) {
  const ModelConfig c = config_of(small_model("qwen2"));
  EXPECT_TRUE(c.has_qkv_bias);
  EXPECT_FALSE(c.has_qk_norm);
  EXPECT_EQ(c.rope_layout, RopeLayout::kHalfSplit);
}

TEST(Architecture, QwenWindowsAreRefusedInsteadOfIgnored) {
  for (const char* name : {"qwen2", "qwen3"}) {
    GgufBuilder b = small_model(name);
    b.set<uint32_t>(std::string(name) + ".attention.sliding_window", 32);
    EXPECT_THAT(refusal_of(b), HasSubstr("sliding windows of this architecture are not supported"));
  }
}

TEST(Architecture, Qwen3HasHeadNormsAndAHeadLengthOfItsOwn) {
  const ModelConfig c =
      config_of(small_model("qwen3").set<uint32_t>("qwen3.attention.key_length", 16));
  EXPECT_TRUE(c.has_qk_norm);
  EXPECT_FALSE(c.has_qkv_bias || c.has_post_norms);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.rope_layout, RopeLayout::kHalfSplit);
}

GgufBuilder gemma(uint32_t n_layers) {
  GgufBuilder b = small_model("gemma3");
  b.set<uint32_t>("gemma3.block_count", n_layers)
      .set<uint32_t>("gemma3.attention.sliding_window", 64);
  b.set<float>("gemma3.rope.freq_base", 1e6F);
  return b;
}

TEST(Architecture, Gemma3HasFiveSlidingLayersToOneGlobal) {
  const ModelConfig c = config_of(gemma(13));
  EXPECT_THAT(c.layer_class, ElementsAre(S, S, S, S, S, G, S, S, S, S, S, G, S));
  EXPECT_EQ(c.window, 64);
  EXPECT_TRUE(c.has_qk_norm && c.has_post_norms);
  EXPECT_EQ(c.activation, Activation::kGeluTanh);
  EXPECT_EQ(c.rope_layout, RopeLayout::kHalfSplit);
  EXPECT_FLOAT_EQ(c.embedding_scale, std::sqrt(32.0F));
  EXPECT_FLOAT_EQ(c.attention_scale, 0.25F);
  EXPECT_FLOAT_EQ(c.rope(5).base, 1e6F);
  EXPECT_FLOAT_EQ(c.rope(4).base, 1e4F);
}

TEST(Architecture, Gemma3ScalesPositionsOnGlobalLayersOnly) {
  const ModelConfig c = config_of(gemma(6)
                                      .set("gemma3.rope.scaling.factor", 8.0F)
                                      .set_text("gemma3.rope.scaling.type", "linear"));
  EXPECT_FLOAT_EQ(c.rope(5).position_scale, 0.125F);
  EXPECT_FLOAT_EQ(c.rope(0).position_scale, 1.0F);
}

TEST(Architecture, Gemma3TakesPatternsWindowBasesAndCapsFromTheFile) {
  EXPECT_THAT(
      config_of(gemma(4).set<uint32_t>("gemma3.attention.sliding_window_pattern", 2)).layer_class,
      ElementsAre(S, G, S, G));
  EXPECT_THAT(
      config_of(gemma(3).set_array<uint32_t>("gemma3.attention.sliding_window_pattern", {0, 1, 0}))
          .layer_class,
      ElementsAre(G, S, G));
  const ModelConfig c = config_of(
      gemma(2).set("gemma3.rope.freq_base_swa", 5e3F).set("gemma3.final_logit_softcapping", 30.0F));
  EXPECT_FLOAT_EQ(c.rope_sliding.base, 5e3F);
  EXPECT_FLOAT_EQ(c.final_softcap, 30.0F);
}

TEST(Architecture, Gemma3WithoutAWindowIsGlobalThroughout) {
  const ModelConfig c = config_of(gemma(7).erase("gemma3.attention.sliding_window"));
  EXPECT_EQ(c.window, 0);
  EXPECT_THAT(c.layer_class, Each(G));
}

// 62 layers are the 27B model: 5376 channels on 32 heads of 128, scaled by 168 and not by 128.
TEST(Architecture, TheLargestGemma3ScalesByItsEmbeddingsShareOfAHead) {
  GgufBuilder b = gemma(62);
  b.set<uint32_t>("gemma3.embedding_length", 5376).set<uint32_t>("gemma3.attention.head_count", 32);
  b.set<uint32_t>("gemma3.attention.head_count_kv", 16)
      .set<uint32_t>("gemma3.attention.key_length", 128);
  b.set<uint32_t>("gemma3.attention.value_length", 128).erase("gemma3.rope.dimension_count");
  EXPECT_FLOAT_EQ(config_of(b).attention_scale, 1.0F / std::sqrt(168.0F));
}

TEST(Architecture, Gemma3WithoutItsRopeBaseIsRefused) {
  EXPECT_THAT(refusal_of(gemma(2).erase("gemma3.rope.freq_base")),
              HasSubstr("key 'gemma3.rope.freq_base'"));
}

}  // namespace
}  // namespace ebb::model
