// Against real vocabularies: token ids equal to HF's apply_chat_template. A model that is not on
// this machine is skipped, and says so.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/chat_template_turns.h"

namespace ebb::model {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::optional<fs::path> find_model(const std::string& file) {
  std::vector<fs::path> folders = {fs::path(EBB_SOURCE_DIR) / "models"};
  if (const char* given = std::getenv("EBB_MODELS")) folders.insert(folders.begin(), given);
  if (const char* home = std::getenv("HOME"))
    folders.push_back(fs::path(home) / ".cache/ebb/models");
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / file)) return folder / file;
  }
  return std::nullopt;
}

struct Vocabulary {
  std::string format;
  std::string file;
};

void PrintTo(const Vocabulary& vocabulary, std::ostream* out) { *out << vocabulary.format; }

class RealVocabulary : public testing::TestWithParam<Vocabulary> {
 protected:
  void SetUp() override {
    const auto path = find_model(GetParam().file);
    if (!path) GTEST_SKIP() << GetParam().file << " is not on this machine";
    tokenizer_ = Tokenizer::load(*path);
    std::ifstream file(fs::path(EBB_FIXTURES) / "templates" / (GetParam().format + ".json"));
    golden_ = json::parse(file);
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  json golden_;
};

EncodedTurn whole_conversation(ConversationEncoder& encoder, const json& messages) {
  EncodedTurn all;
  TurnInput input;
  const auto append = [&](const EncodedTurn& more) {
    all.ids.insert(all.ids.end(), more.ids.begin(), more.ids.end());
    all.span_of_token.insert(all.span_of_token.end(), more.span_of_token.begin(),
                             more.span_of_token.end());
  };
  for (const json& message : messages) {
    const std::string role = message["role"], text = message["content"];
    if (role == "system") input.system = {{text, Role::kSystem, ""}};
    if (role == "user") {
      input.parts = {{text, Role::kQuery, ""}};
      append(encoder.user_turn(input));
      input = TurnInput();
    }
    if (role == "assistant") append(encoder.recorded_reply(text));
  }
  return all;
}

TEST_P(RealVocabulary, TokenIdsOfEveryConversationEqualThoseOfHf) {
  const ChatTemplate chat = ChatTemplate::find(*tokenizer_, GetParam().format);
  EXPECT_EQ(chat.notice(), "");
  for (const json& entry : golden_["cases"]) {
    ConversationEncoder encoder(tokenizer_, chat.format());
    const EncodedTurn ours = whole_conversation(encoder, entry["messages"]);
    const auto expected = entry["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(ours.ids, expected) << entry["name"] << "\nours: "
                                  << tokenizer_->decode(ours.ids, RenderSpecial::kYes);
    EXPECT_EQ(tokenizer_->decode(ours.ids, RenderSpecial::kYes), entry["text"]) << entry["name"];
  }
}

TEST_P(RealVocabulary, EveryTokenOfAUserTextBelongsToIt) {
  const ChatTemplate chat = ChatTemplate::find(*tokenizer_, GetParam().format);
  ConversationEncoder encoder(tokenizer_, chat.format());
  TurnInput input;
  input.parts = {{"Write it as a poem, please.", Role::kInstruction, "style-1"},
                 {"Das Café öffnet um 7:30 – 早上好 👩‍🚀.", Role::kContent, ""}};
  const EncodedTurn turn = encoder.user_turn(input);
  for (const TurnSpan& span : encoder.spans()) {
    if (span.role != Role::kInstruction && span.role != Role::kContent) continue;
    std::string text;
    for (size_t i = 0; i < turn.ids.size(); ++i) {
      if (encoder.spans()[turn.span_of_token[i]] == span) {
        text += tokenizer_->piece(turn.ids[i], RenderSpecial::kYes);
      }
    }
    // Qwen has a token ".\n\n"; it belongs to the text it begins in.
    text = trimmed_right(text);
    EXPECT_EQ(text, input.parts[span.role == Role::kInstruction ? 0 : 1].text);
  }
}

TEST_P(RealVocabulary, TheEndOfATurnEndsAReply) {
  const ChatFormat format = ChatTemplate::find(*tokenizer_, GetParam().format).format();
  const auto closing = tokenizer_->encode(format.assistant.suffix, ParseSpecial::kYes);
  ASSERT_FALSE(closing.empty());
  EXPECT_TRUE(tokenizer_->is_end_of_generation(closing.front()));
  EXPECT_TRUE(tokenizer_->is_control(closing.front()));
  EXPECT_FALSE(tokenizer_->is_end_of_generation(tokenizer_->encode("word", ParseSpecial::kNo)[0]));
}

INSTANTIATE_TEST_SUITE_P(Models, RealVocabulary,
                         testing::Values(Vocabulary{"smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"},
                                         Vocabulary{"qwen2.5",
                                                    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"},
                                         Vocabulary{"gemma3", "gemma-3-270m-q4_k_m.gguf"}),
                         [](const auto& test) {
                           std::string name = test.param.format;
                           std::erase(name, '.');
                           return name;
                         });

TEST(RealTemplate, SmolLm2IsRecognisedByItsHashAndABaseModelTalksPlainly) {
  const auto smollm = find_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  const auto gemma = find_model("gemma-3-270m-q4_k_m.gguf");
  if (!smollm || !gemma) GTEST_SKIP() << "the models are not on this machine";
  const ChatTemplate known = ChatTemplate::find(*Tokenizer::load(*smollm));
  EXPECT_EQ(known.format().name, "smollm2");
  EXPECT_EQ(known.notice(), "");
  const auto base = Tokenizer::load(*gemma);
  const ChatTemplate plain = ChatTemplate::find(*base);
  EXPECT_EQ(plain.format().name, "plain");
  EXPECT_EQ(plain.format().begin, "<bos>");
  EXPECT_EQ(plain.file_template_sha256(), "");
  EXPECT_NE(plain.notice().find("no chat template"), std::string::npos);
}

}  // namespace
}  // namespace ebb::model
