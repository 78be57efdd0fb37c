#include "model/chat_template.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/chat_template_turns.h"

namespace ebb::model {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json golden(const std::string& name) {
  std::ifstream file(std::filesystem::path(EBB_FIXTURES) / "templates" / (name + ".json"));
  return json::parse(file);
}

const ChatFormat& format(const std::string& name) {
  for (const KnownFormat& known : known_formats()) {
    if (known.format.name == name) return known.format;
  }
  throw std::runtime_error("no format " + name);
}

// The increments of a conversation, in order, as a study would append them.
std::vector<std::string> increments(const ChatFormat& chat, const json& messages) {
  std::vector<std::string> out;
  TurnInput input;
  TurnPlace place = TurnPlace::kFirst;
  for (const json& message : messages) {
    const std::string role = message["role"], text = message["content"];
    if (role == "system") input.system.push_back({text, Role::kSystem, ""});
    if (role == "user") {
      input.parts = {{text, Role::kQuery, ""}};
      out.push_back(text_of(render_user_turn(chat, place, input)));
      place = TurnPlace::kLater;
      input = TurnInput();
    }
    if (role == "assistant") out.push_back(text_of(render_reply(chat, text)));
  }
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, IncrementsOfEveryConversationJoinToWhatHfRendersAtOnce) {
  const json file = golden(GetParam());
  ASSERT_GE(file["cases"].size(), 10U);
  for (const json& entry : file["cases"]) {
    EXPECT_EQ(joined(increments(format(GetParam()), entry["messages"])), entry["text"])
        << entry["name"];
  }
}

TEST_P(Golden, TheHashOfTheTemplateTextLeadsToTheFormat) {
  const std::string hash = golden(GetParam())["template_sha256"];
  for (const KnownFormat& known : known_formats()) {
    const bool has_hash = std::find(known.template_hashes.begin(), known.template_hashes.end(),
                                    hash) != known.template_hashes.end();
    EXPECT_EQ(has_hash, known.format.name == GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Golden,
                         testing::Values("smollm2", "qwen2.5", "gemma3", "llama3", "llama3.1"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '.');
                           return name;
                         });

TEST(ChatTemplate, TrimsWhiteSpaceAsPythonDoes) {
  EXPECT_EQ(trimmed(" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f a b \n"), "a b");
  EXPECT_EQ(trimmed("\u00a0\u3000x\u2003\u2028\u0085"), "x");
  EXPECT_EQ(trimmed("\u200bx\u200b"), "\u200bx\u200b") << "a zero-width space is no white space";
  EXPECT_EQ(trimmed("é"), "é");
  EXPECT_EQ(trimmed(""), "");
  EXPECT_EQ(trimmed(" \n "), "");
}

TEST(ChatTemplate, JoinsThePartsOfATurnByABlankLineAndLeavesOutEmptyOnes) {
  TurnInput input;
  input.parts = {{"Be formal.", Role::kInstruction, "i1"},
                 {"", Role::kContent, ""},
                 {"What now?", Role::kQuery, ""}};
  EXPECT_EQ(text_of(render_user_turn(format("chatml"), TurnPlace::kLater, input)),
            "<|im_start|>user\nBe formal.\n\nWhat now?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, TrimsThePartsOfATurnAsOneText) {
  TurnInput input;
  input.parts = {{"  Be formal. ", Role::kInstruction, "i1"}, {" What now? \n", Role::kQuery, ""}};
  EXPECT_EQ(text_of(render_user_turn(format("gemma3"), TurnPlace::kLater, input)),
            "<start_of_turn>user\nBe formal. \n\n What now?<end_of_turn>\n<start_of_turn>model\n");
}

TEST(ChatTemplate, RefusesASystemTextAfterTheFirstTurn) {
  TurnInput input{{{"Hi", Role::kQuery, ""}}, {{"Late.", Role::kSystem, ""}}};
  EXPECT_THROW(static_cast<void>(render_user_turn(format("chatml"), TurnPlace::kLater, input)),
               Error);
}

TEST(ChatTemplate, PlainTurnsUseNoControlTokens) {
  const json messages = json::parse(
      R"([{"role":"system","content":"Be brief."},{"role":"user","content":"One?"},
          {"role":"assistant","content":"Yes."},{"role":"user","content":"Two?"}])");
  EXPECT_EQ(joined(increments(format("plain"), messages)),
            "Be brief.\n\nUser:\nOne?\n\nAssistant:\nYes.\n\nUser:\nTwo?\n\nAssistant:\n");
}

TEST(ChatTemplateDetection, DerivesAFormatThatLibllamaKnowsByPattern) {
  const ChatFormat chatml = detect_format(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
      "{% endfor %}");
  EXPECT_EQ(chatml.user.prefix, "<|im_start|>user\n");
  EXPECT_EQ(chatml.user.suffix, "<|im_end|>\n");
  EXPECT_EQ(chatml.assistant.prefix, "<|im_start|>assistant\n");
  EXPECT_EQ(chatml.assistant.suffix, "<|im_end|>\n");
  EXPECT_EQ(chatml.system.prefix, "<|im_start|>system\n");
  EXPECT_EQ(chatml.system_place, SystemPlace::kOwnTurn);
  EXPECT_EQ(chatml.trim_turns, Trim::kNo);
}

TEST(ChatTemplateDetection, FindsASystemTextInsideTheFirstUserTurn) {
  const ChatFormat gemma = detect_format("{{ '<start_of_turn>' + role + '<end_of_turn>' }}");
  EXPECT_EQ(gemma.system_place, SystemPlace::kInsideUser);
  EXPECT_EQ(gemma.user.prefix, "<start_of_turn>user\n");
  EXPECT_EQ(gemma.system.suffix, "\n\n");
  EXPECT_EQ(gemma.trim_turns, Trim::kYes);
}

TEST(ChatTemplateDetection, OffersTheNamesWhereNothingKnowsTheTemplate) {
  try {
    static_cast<void>(detect_format("{{ messages | reverse }}"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("--chat-template"));
    EXPECT_THAT(error.what(), HasSubstr("plain"));
  }
}

}  // namespace
}  // namespace ebb::model
