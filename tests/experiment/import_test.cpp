#include "experiment/import.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "eval/rules.h"
#include "experiment/csv.h"

namespace ebb::experiment {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ConversationSet imported(const std::string& text) {
  return import_conversations(text, detect_format(text, "f"), "f");
}

std::string error_of(const std::string& text) {
  try {
    static_cast<void>(imported(text));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    return error.what();
  }
  return "no error";
}

TEST(Import, ReadsIfevalRowsAndDropsNullParameters) {
  const ConversationSet set = imported(
      R"({"key": 7, "prompt": "Name a tree, no commas.", "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"], "kwargs": [{}, {"num_words": 30.0, "relation": "less than", "keyword": null}]})"
      "\n\n"
      R"({"key": "8", "prompt": "Name a bird.", "instruction_id_list": [], "kwargs": []})"
      "\n");
  ASSERT_EQ(set.conversations.size(), 2U);
  const Conversation& c = set.conversations[0];
  EXPECT_EQ(c.id, "7");
  ASSERT_EQ(c.turns.size(), 1U);
  EXPECT_EQ(c.turns[0].instruction->text, "Name a tree, no commas.");
  EXPECT_EQ(c.turns[0].query, "");
  EXPECT_THAT(
      c.turns[0].instruction->rules,
      ElementsAre(
          R"({"id":"punctuation:no_comma","parameters":{}})",
          R"({"id":"length_constraints:number_words","parameters":{"num_words":30,"relation":"less than"}})"));
  EXPECT_EQ(set.conversations[1].line, 3);
  EXPECT_THAT(set.notices, IsEmpty());
}

TEST(Import, PutsTheSystemTextOfSysIfevalIntoAnInstruction) {
  const ConversationSet set = imported(
      R"({"key": 1, "prompt": "x", "instruction_id_list": ["startend:quotation"], "kwargs": [{}], "messages": [{"role": "system", "content": "Use quotes."}, {"role": "user", "content": "Name a tree."}]})");
  const Conversation& c = set.conversations.at(0);
  ASSERT_EQ(c.turns.size(), 2U);
  EXPECT_EQ(c.turns[0].speaker, Speaker::kSystem);
  EXPECT_EQ(c.turns[0].instruction->text, "Use quotes.");
  EXPECT_EQ(c.turns[0].content, "");
  EXPECT_EQ(c.turns[1].query, "Name a tree.");
  const std::vector<Exchange> exchanges = exchanges_of(c);
  ASSERT_EQ(exchanges.size(), 1U);
  ASSERT_EQ(exchanges[0].input.system.size(), 1U);
  EXPECT_EQ(exchanges[0].input.system[0].role, Role::kInstruction);
  EXPECT_EQ(exchanges[0].input.system[0].instruction_id, "i1");
}

TEST(Import, CountsRulesThatItDoesNotKnow) {
  const std::string row =
      R"("prompt": "x", "instruction_id_list": ["ratio:overlap", "punctuation:no_comma"], "kwargs": [{}, {}]})";
  const ConversationSet set = imported("{\"key\": 1, " + row + "\n{\"key\": 2, " + row);
  EXPECT_THAT(set.notices,
              ElementsAre("rule ratio:overlap not known (2 times): judged only by a judge"));
  EXPECT_THAT(set.conversations[1].turns[0].instruction->rules,
              ElementsAre(R"({"id":"punctuation:no_comma","parameters":{}})"));
}

TEST(Import, KnowsExactlyTheRulesOfIfevalThatEvalKnows) {
  std::vector<std::string> known;
  for (const std::string& id : eval::known_rules()) {
    if (!id.starts_with("ebb:")) known.push_back(id);
  }
  EXPECT_THAT(importable_rules(), testing::UnorderedElementsAreArray(known));
}

TEST(Import, ReadsMtBenchQuestions) {
  const ConversationSet set = imported(
      R"({"question_id": 81, "category": "writing", "turns": ["Write.", "Shorten it."], "reference": []})");
  const Conversation& c = set.conversations.at(0);
  EXPECT_EQ(c.id, "81");
  EXPECT_EQ(c.domain, "writing");
  ASSERT_EQ(c.turns.size(), 2U);
  EXPECT_EQ(c.turns[1].query, "Shorten it.");
  EXPECT_FALSE(c.turns[0].instruction);
}

TEST(Import, ReadsMultichallengeWithItsQuestionForTheJudge) {
  const ConversationSet set = imported(
      R"({"QUESTION_ID": "q", "AXIS": "INSTRUCTION_RETENTION", "CONVERSATION": [{"role": "user", "content": "Be brief."}, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Go on."}], "TARGET_QUESTION": "Is it brief?", "PASS_CRITERIA": "YES"})");
  const Conversation& c = set.conversations.at(0);
  EXPECT_EQ(c.conflict_type, "INSTRUCTION_RETENTION");
  ASSERT_EQ(c.turns.size(), 3U);
  EXPECT_EQ(c.turns[0].content, "Be brief.");
  EXPECT_EQ(c.turns[2].query, "Go on.");
  EXPECT_EQ(c.turns[2].expected_behavior, "Is it brief? Expected answer: YES");
  EXPECT_EQ(exchanges_of(c)[0].recorded_reply, "Yes.");
}

// A CSV field with its quotes doubled.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string multi_if(const std::string& second_ids, const std::string& second_kwargs) {
  return "key,turn_1_prompt,turn_1_instruction_id_list,turn_1_kwargs,turn_2_prompt,"
         "turn_2_instruction_id_list,turn_2_kwargs,turn_3_prompt,language\r\n" +
         ("k," + quoted(R"({"role": "user", "content": "Hi,\nthere."})") + "," +
          quoted(R"(["punctuation:no_comma"])") + "," + quoted(R"(["{}"])") + "," +
          quoted(R"({"role": "user", "content": "More."})") + "," + quoted(second_ids) + "," +
          quoted(second_kwargs) + ",None,English\r\n");
}

TEST(Import, GivesEachTurnOfMultiIfTheRulesThatItAdds) {
  const ConversationSet set =
      imported(multi_if(R"(["punctuation:no_comma", "startend:quotation"])", R"(["{}", "{}"])"));
  const Conversation& c = set.conversations.at(0);
  EXPECT_EQ(c.id, "k");
  EXPECT_EQ(c.domain, "English");
  ASSERT_EQ(c.turns.size(), 2U);
  EXPECT_EQ(c.turns[0].instruction->text, "Hi,\nthere.");
  EXPECT_EQ(c.turns[0].instruction->overridden_by, "");
  EXPECT_THAT(c.turns[1].instruction->rules,
              ElementsAre(R"({"id":"startend:quotation","parameters":{}})"));
}

TEST(Import, OverridesInMultiIfWhereTheListsDoNotGoOn) {
  const ConversationSet set = imported(multi_if(R"(["startend:quotation"])", R"(["{}"])"));
  EXPECT_EQ(set.conversations.at(0).turns[0].instruction->overridden_by, "i2");
}

TEST(Import, NamesLineAndFieldOfAnError) {
  EXPECT_THAT(
      error_of("{\"question_id\": 1, \"turns\": [\"a\"]}\n{\"question_id\": 2, \"turns\": 3}"),
      AllOf(HasSubstr("f:2: row 2"), HasSubstr("'turns'"), HasSubstr("found 3")));
  EXPECT_THAT(error_of("{\"question_id\": 1, \"turns\": [\"a\"]}\n{\"question_id\""),
              AllOf(HasSubstr("f:2: "), HasSubstr("not JSON")));
  EXPECT_THAT(
      error_of(
          "{\"question_id\": 1, \"turns\": [\"a\"]}\n{\"question_id\": 1, \"turns\": [\"a\"]}"),
      HasSubstr("f:2: found '1' again"));
  EXPECT_THAT(error_of(R"({"key": 1, "prompt": "x", "instruction_id_list": ["a"], "kwargs": []})"),
              HasSubstr("two lists of equal length"));
  EXPECT_THAT(
      error_of(R"({"QUESTION_ID": "q", "CONVERSATION": [{"role": "assistant", "content": "a"}]})"),
      HasSubstr("replies after user messages"));
  EXPECT_THAT(error_of("a,b\n1,2\n"), HasSubstr("none of the known formats"));
  EXPECT_THAT(error_of("key,turn_1_prompt\nk\n"), HasSubstr("f:2: found 1 fields, expected 2"));
}

TEST(Import, FindsThePlansFormatAndParsesNames) {
  EXPECT_EQ(detect_format("[\n]", "f"), ConversationFormat::kPlan);
  EXPECT_EQ(detect_format("{\n \"conversations\": []}", "f"), ConversationFormat::kPlan);
  EXPECT_EQ(detect_format("{\"conversations\": []}", "f"), ConversationFormat::kPlan);
  EXPECT_EQ(parse_format("multi-if"), ConversationFormat::kMultiIf);
  EXPECT_EQ(format_name(ConversationFormat::kMtBench), "mt-bench");
  EXPECT_THROW(static_cast<void>(parse_format("mtbench")), Error);
}

// A public set beside the project's folder, if somebody put it there.
std::optional<ConversationSet> public_set(const std::string& name) {
  for (const char* folder : {"/../shared/data/", "/../../shared/data/"}) {
    const std::string path = std::string(EBB_SOURCE_DIR) + folder + name;
    if (std::filesystem::exists(path)) return load_conversations(path);
  }
  return std::nullopt;
}

TEST(Import, TakesAllOfSysIfevalWithRulesThatEvalAccepts) {
  const auto set = public_set("sys_ifeval.jsonl");
  if (!set) GTEST_SKIP() << "sys_ifeval.jsonl is not on this machine";
  EXPECT_EQ(set->conversations.size(), 539U);
  EXPECT_THAT(set->notices, IsEmpty());
  for (const Conversation& conversation : set->conversations) {
    ASSERT_TRUE(conversation.turns.front().instruction) << conversation.id;
    for (const std::string& rule : conversation.turns.front().instruction->rules) {
      EXPECT_NO_THROW(static_cast<void>(eval::parse_rule(rule))) << conversation.id << rule;
    }
  }
}

TEST(Import, NamesAllRulesOfIfbench) {
  const auto set = public_set("IFBench_test.jsonl");
  if (!set) GTEST_SKIP() << "IFBench_test.jsonl is not on this machine";
  EXPECT_EQ(set->conversations.size(), 300U);
  EXPECT_EQ(set->notices.size(), 58U);
}

TEST(Csv, KeepsCommasQuotesAndLineBreaksOfQuotedFields) {
  const std::vector<CsvRow> rows = parse_csv("a,\"b, \"\"c\"\"\nd\"\r\n\n,x", "f");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_THAT(rows[0].fields, ElementsAre("a", "b, \"c\"\nd"));
  EXPECT_THAT(rows[1].fields, ElementsAre("", "x"));
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_THROW(static_cast<void>(parse_csv("\"a", "f")), Error);
  EXPECT_THROW(static_cast<void>(parse_csv("\"a\"b", "f")), Error);
  try {
    static_cast<void>(parse_csv("a,b\nc,\xFF\n", "f"));
    FAIL() << "bytes that are no text were read";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "f:2: found bytes that are not UTF-8");
  }
}

}  // namespace
}  // namespace ebb::experiment
