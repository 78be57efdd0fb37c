#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "model/tokenizer.h"

namespace ebb::model {
namespace {

std::filesystem::path tiny(const std::string& name) {
  return std::filesystem::path(EBB_FIXTURES) / "tiny" / name;
}

TEST(Tokenizer, GivesBackTheBytesItWasGiven) {
  const auto tokenizer = Tokenizer::load(tiny("llama-f32.gguf"));
  const std::string text = "Plain words, 12 numbers,\n\ttabs and Grüße 你好 👩‍🚀.";
  const auto ids = tokenizer->encode(text, ParseSpecial::kNo);
  EXPECT_FALSE(ids.empty());
  EXPECT_EQ(tokenizer->decode(ids, RenderSpecial::kNo), text);
  EXPECT_TRUE(tokenizer->encode("", ParseSpecial::kYes).empty());
}

TEST(Tokenizer, NamesItsSizeAndRefusesIdsOutsideIt) {
  const auto tokenizer = Tokenizer::load(tiny("llama-f32.gguf"));
  EXPECT_EQ(tokenizer->n_vocab(), 288);
  EXPECT_THROW(static_cast<void>(tokenizer->piece(288, RenderSpecial::kYes)), Error);
  EXPECT_THROW(static_cast<void>(tokenizer->piece(-1, RenderSpecial::kYes)), Error);
  EXPECT_FALSE(tokenizer->is_end_of_generation(-1));
  EXPECT_FALSE(tokenizer->is_control(288));
}

TEST(Tokenizer, PutsABeginningOnlyWhereAskedAndWhereTheFileSaysSo) {
  const auto with = Tokenizer::load(tiny("gemma3-f32.gguf"));
  const auto without = Tokenizer::load(tiny("llama-f32.gguf"));
  EXPECT_EQ(with->encode("a", ParseSpecial::kNo, AddBos::kAsFile).front(), with->bos());
  EXPECT_NE(with->encode("a", ParseSpecial::kNo).front(), with->bos());
  EXPECT_EQ(without->encode("a", ParseSpecial::kNo, AddBos::kAsFile).size(), 1U);
}

TEST(Tokenizer, ReadsAndShowsControlTokensOnlyWhereAsked) {
  const auto tokenizer = Tokenizer::load(tiny("llama-f32.gguf"));
  const auto parsed = tokenizer->encode("a<|im_end|>", ParseSpecial::kYes);
  ASSERT_EQ(parsed.size(), 2U);
  EXPECT_TRUE(tokenizer->is_control(parsed[1]));
  EXPECT_TRUE(tokenizer->is_end_of_generation(parsed[1]));
  EXPECT_EQ(tokenizer->decode(parsed, RenderSpecial::kYes), "a<|im_end|>");
  EXPECT_EQ(tokenizer->decode(parsed, RenderSpecial::kNo), "a");
  EXPECT_GT(tokenizer->encode("a<|im_end|>", ParseSpecial::kNo).size(), 2U);
}

TEST(Tokenizer, SaysWhatIsWrongWithAFileAndPrintsNothing) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "not_a_model.gguf";
  std::ofstream(path) << "GGUF but not really";
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  std::string message;
  ErrorKind kind = ErrorKind::kInternal;
  try {
    static_cast<void>(Tokenizer::load(path));
  } catch (const Error& error) {
    message = error.what();
    kind = error.kind();
  }
  EXPECT_THROW(static_cast<void>(Tokenizer::load("/nowhere/at/all.gguf")), Error);
  static_cast<void>(Tokenizer::load(tiny("gemma3-f32.gguf")));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(kind, ErrorKind::kBadModel);
  EXPECT_THAT(message, testing::HasSubstr("not_a_model.gguf"));
  EXPECT_THAT(message, testing::Not(testing::HasSubstr("no reason given")));
}

}  // namespace
}  // namespace ebb::model
