// Typed access to keys and tensors of a sound file.
#include "model/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/gguf_builder.h"

namespace ebb::model {
namespace {

using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;

// Keeps the bytes alive beside the view.
struct Opened {
  explicit Opened(const GgufBuilder& builder)
      : bytes(builder.build()), file(GgufFile::view(bytes, "test.gguf")) {}
  std::vector<std::byte> bytes;
  GgufFile file;
};

template <typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadModel);
    return error.what();
  }
  return "no error";
}

TEST(GgufFile, AbsentKeysAndTensorsAreNoErrors) {
  const Opened opened{GgufBuilder()};
  EXPECT_EQ(opened.file.u32("a"), std::nullopt);
  EXPECT_EQ(opened.file.string("a"), std::nullopt);
  EXPECT_FALSE(opened.file.string_array("a").has_value());
  EXPECT_EQ(opened.file.u32_or_array("a", 3), std::nullopt);
  EXPECT_EQ(opened.file.tensor("a"), nullptr);
  EXPECT_FALSE(opened.file.has("a"));
}

TEST(GgufFile, IntegersOfEveryWidthAreReadAndComparedWithTheResultsRange) {
  GgufBuilder b;
  b.set<uint8_t>("u8", 200)
      .set<int8_t>("i8", 100)
      .set<uint16_t>("u16", 60000)
      .set<int16_t>("i16", 30000);
  b.set<int32_t>("i32", 7).set<uint64_t>("u64", 8).set<int64_t>("i64", 9);
  b.set<int32_t>("negative", -1).set<uint64_t>("wide", UINT64_MAX).set<bool>("flag", true);
  const Opened opened(b);
  EXPECT_EQ(opened.file.u32("u8"), 200U);
  EXPECT_EQ(opened.file.u32("i8"), 100U);
  EXPECT_EQ(opened.file.u32("u16"), 60000U);
  EXPECT_EQ(opened.file.u32("i16"), 30000U);
  EXPECT_EQ(opened.file.u32("i32"), 7U);
  EXPECT_EQ(opened.file.u32("u64"), 8U);
  EXPECT_EQ(opened.file.u32("i64"), 9U);
  EXPECT_THAT(message_of([&] { opened.file.u32("negative"); }),
              HasSubstr("key 'negative': found -1"));
  EXPECT_THAT(message_of([&] { opened.file.u32("wide"); }), HasSubstr("expected 0 to 4294967295"));
  EXPECT_THAT(message_of([&] { opened.file.u32("flag"); }),
              HasSubstr("found bool, expected an integer"));
}

TEST(GgufFile, PlainValuesKeepTheirTypes) {
  GgufBuilder b;
  b.set<float>("f", 1.5F)
      .set<bool>("yes", true)
      .set<bool>("no", false)
      .set_text("s", "Grüße")
      .set_text("empty", "");
  const Opened opened(b);
  EXPECT_EQ(opened.file.f32("f"), 1.5F);
  EXPECT_EQ(opened.file.boolean("yes"), true);
  EXPECT_EQ(opened.file.boolean("no"), false);
  EXPECT_EQ(opened.file.string("s"), "Grüße");
  EXPECT_EQ(opened.file.string("empty"), "");
  EXPECT_THAT(message_of([&] { opened.file.f32("s"); }), HasSubstr("found string, expected f32"));
  EXPECT_THAT(message_of([&] { opened.file.string("f"); }),
              HasSubstr("found f32, expected string"));
  EXPECT_THAT(message_of([&] { opened.file.boolean("f"); }), HasSubstr("found f32, expected bool"));
  EXPECT_THAT(message_of([&] { opened.file.f32_array("f"); }),
              HasSubstr("found f32, expected an array"));
}

TEST(GgufFile, ArraysAreReadWholeAlsoWhereTheyLieUnaligned) {
  GgufBuilder b;
  b.set_text("odd", "xyz");  // shifts what follows to an odd offset
  b.set_array<float>("f", {0.5F, -2.0F})
      .set_array<int32_t>("i", {-1, 2})
      .set_array<uint32_t>("u", {3, 4});
  b.set_texts("s", {"one", "", "three"}).set_array<float>("none", {});
  const Opened opened(b);
  EXPECT_THAT(*opened.file.f32_array("f"), ElementsAre(0.5F, -2.0F));
  EXPECT_THAT(*opened.file.i32_array("i"), ElementsAre(-1, 2));
  EXPECT_THAT(*opened.file.u32_array("u"), ElementsAre(3U, 4U));
  std::vector<std::string_view> texts;
  const auto array = opened.file.string_array("s");
  for (const std::string_view text : *array) texts.push_back(text);
  EXPECT_THAT(texts, ElementsAre("one", "", "three"));
  EXPECT_TRUE(opened.file.f32_array("none")->empty());
  EXPECT_THAT(message_of([&] { opened.file.u32_array("i"); }), HasSubstr("found -1"));
  EXPECT_THAT(message_of([&] { opened.file.i32_array("f"); }), HasSubstr("an array of integers"));
  EXPECT_THAT(message_of([&] { opened.file.string("s"); }), HasSubstr("expected a plain value"));
}

TEST(GgufFile, OneNumberStandsForEveryLayerAndAnArrayMustHaveOneForEach) {
  GgufBuilder b;
  b.set<uint32_t>("one", 5).set_array<uint32_t>("three", {1, 2, 3});
  const Opened opened(b);
  EXPECT_THAT(*opened.file.u32_or_array("one", 3), ElementsAre(5U, 5U, 5U));
  EXPECT_THAT(*opened.file.u32_or_array("three", 3), ElementsAre(1U, 2U, 3U));
  EXPECT_THAT(message_of([&] { opened.file.u32_or_array("three", 2); }),
              HasSubstr("found array of 3 u32"));
}

TEST(GgufFile, TensorsPointAtTheirOwnBytes) {
  GgufBuilder b;
  b.add_f32("first", {3}).add_f32("second", {2, 2});
  b.tensor("first").values = {1, 2, 3};
  b.tensor("second").values = {4, 5, 6, 7};
  const Opened opened(b);
  const TensorInfo* second = opened.file.tensor("second");
  ASSERT_NE(second, nullptr);
  EXPECT_THAT(second->ne, ElementsAre(2, 2, 1, 1));
  EXPECT_EQ(second->n_dims, 2);
  EXPECT_EQ(second->size_bytes, 16U);
  const auto* values = static_cast<const float*>(second->data);
  EXPECT_THAT(std::vector<float>(values, values + 4), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(opened.file.tensors().size(), 2U);
}

TEST(GgufFile, Version2AndLargerAlignmentsAreRead) {
  GgufBuilder b;
  b.version = 2;
  b.alignment = 4096;
  b.set<uint32_t>("general.alignment", 4096).add_f32("first", {1}).add_f32("second", {1});
  b.tensor("second").values = {42};
  const Opened opened(b);
  EXPECT_EQ(opened.file.version(), 2U);
  EXPECT_EQ(*static_cast<const float*>(opened.file.tensor("second")->data), 42);
}

TEST(GgufFile, KeysComeInTheOrderOfTheFile) {
  GgufBuilder b;
  b.set<uint32_t>("z", 1).set<uint32_t>("a", 2);
  EXPECT_THAT(Opened(b).file.keys(), ElementsAre("z", "a"));
}

}  // namespace
}  // namespace ebb::model
