#include "experiment/conversation.h"

#include <gmock/gmock.h>

#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "base/error.h"

namespace ebb::experiment {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string error_of(const std::string& text) {
  try {
    static_cast<void>(parse_conversations(text, "set.json"));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    return error.what();
  }
  return "no error";
}

// A conversation with one turn on line 3, whose fields are given.
std::string with_turn(const std::string& fields) {
  return "[{\"id\": \"c1\",\n \"turns\": [\n  {" + fields + "}]}]";
}

TEST(Conversations, ReadsThePlansFormat) {
  const ConversationSet set = parse_conversations(R"([
    {"id": "c1", "conflict_type": "tone", "domain": "travel", "ground_truth_clusters": ["a", "b"],
     "turns": [
      {"turn_id": 1, "role": "user", "instruction": "Be formal.", "content": "A text.",
       "metadata": {"seen": true}},
      {"turn_id": 2, "role": "user", "instruction": "Be casual.", "content": "Another."},
      {"turn_id": 3, "role": "user", "query": "Sum up.", "expected_behavior": "Casual.",
       "expects": "second"}]}])",
                                                  "plan.json");
  ASSERT_EQ(set.conversations.size(), 1U);
  const Conversation& c = set.conversations[0];
  EXPECT_EQ(c.conflict_type, "tone");
  EXPECT_EQ(c.domain, "travel");
  ASSERT_EQ(c.turns.size(), 3U);
  EXPECT_EQ(c.turns[0].instruction->text, "Be formal.");
  EXPECT_EQ(c.turns[0].instruction->id, "i1");
  EXPECT_EQ(c.turns[2].query, "Sum up.");
  EXPECT_EQ(c.turns[2].expects, "second");
  EXPECT_EQ(c.turns[1].line, 6);
  EXPECT_EQ(set.name, "plan.json");
  EXPECT_EQ(set.sha256.size(), 64U);
}

TEST(Conversations, MayNotHoldNumbersBeyondEveryType) {
  EXPECT_THAT(error_of("[" + std::string(400, '5') + "]"), HasSubstr("found a number that"));
}

// The JSON library takes a NUL for the end of the text.
TEST(Conversations, DoNotEndAtANulByte) {
  const std::string whole = with_turn(R"("turn_id": 1, "role": "user", "query": "Why?")");
  EXPECT_EQ(error_of(whole), "no error");
  EXPECT_THAT(error_of(whole + std::string("\0]]}}", 5)), HasSubstr("found a NUL byte"));
  EXPECT_THAT(error_of(std::string("\"\"\0 it flowered]", 16)), HasSubstr("found a NUL byte"));
}

TEST(Conversations, ReadsAVersionedSetWithInstructionsAsObjects) {
  const ConversationSet set = parse_conversations(R"({"version": "2", "conversations": [{"id": "c",
    "turns": [
     {"role": "system", "content": "You are kind."},
     {"role": "user", "instruction": {"id": "a", "text": "Use lists.", "rules": [{"rule": "bullets",
      "n": 3}], "active_from": 1, "active_until": 2, "overridden_by": "b"}, "content": "One."},
     {"role": "assistant", "content": "- One."},
     {"role": "user", "instruction": {"id": "b", "text": "No lists."}, "query": "Two?"}]}]})",
                                                  "x/y.json");
  EXPECT_EQ(set.version, "2");
  const auto& turns = set.conversations[0].turns;
  EXPECT_EQ(turns[1].instruction->rules.at(0), R"({"n":3,"rule":"bullets"})");
  EXPECT_EQ(turns[1].instruction->active_until, 2);
  EXPECT_EQ(turns[1].instruction->overridden_by, "b");
  EXPECT_EQ(turns[3].turn_id, 4);
}

TEST(Conversations, MayNumberTheirIdsAndVersions) {
  const ConversationSet set = parse_conversations(
      R"({"version": 3, "conversations": [{"id": 17, "turns": [{"role": "user", "query": "q"}]}]})",
      "x.json");
  EXPECT_EQ(set.version, "3");
  EXPECT_EQ(set.conversations[0].id, "17");
}

TEST(Conversations, BecomeExchangesWithSystemTextPartsAndRecordedReplies) {
  const ConversationSet set = parse_conversations(R"([{"id": "c", "turns": [
     {"role": "system", "content": "You are kind."},
     {"role": "user", "instruction": "Use lists.", "content": "One.", "query": "Why?"},
     {"role": "assistant", "content": "- One."},
     {"role": "user", "query": "Two?"}]}])",
                                                  "x.json");
  const auto exchanges = exchanges_of(set.conversations[0]);
  ASSERT_EQ(exchanges.size(), 2U);
  EXPECT_EQ(exchanges[0].input.system.at(0).text, "You are kind.");
  ASSERT_EQ(exchanges[0].input.parts.size(), 3U);
  EXPECT_EQ(exchanges[0].input.parts[0].role, Role::kInstruction);
  EXPECT_EQ(exchanges[0].input.parts[0].instruction_id, "i2");
  EXPECT_EQ(exchanges[0].input.parts[2].role, Role::kQuery);
  EXPECT_EQ(exchanges[0].recorded_reply, "- One.");
  EXPECT_TRUE(exchanges[1].input.system.empty());
  EXPECT_FALSE(exchanges[1].recorded_reply);
  EXPECT_EQ(exchanges[1].turn->query, "Two?");
}

TEST(Conversations, NameTheLineOfTextThatIsNotJson) {
  EXPECT_THAT(error_of("[\n{\"id\": \"c1\",\n \"turns\": oops}]"), StartsWith("set.json:3: "));
  EXPECT_THAT(error_of(""), StartsWith("set.json:1: "));
  EXPECT_THAT(error_of("[\"\xff\"]"), HasSubstr("not JSON"));
}

TEST(Conversations, NameLineConversationFieldAndTheNearestName) {
  EXPECT_THAT(error_of(with_turn(R"("role": "user", "instuction": "x", "content": "y")")),
              AllOf(StartsWith("set.json:3: conversation 'c1', turn 1, field 'instuction'"),
                    HasSubstr("did you mean 'instruction'?")));
  EXPECT_THAT(error_of(with_turn(R"("role": "usr", "content": "y")")),
              AllOf(HasSubstr("field 'role': found 'usr', expected user, assistant or system"),
                    HasSubstr("did you mean 'user'?")));
  EXPECT_THAT(
      error_of(with_turn("\"role\": \"user\",\n\n \"content\": 12")),
      AllOf(StartsWith("set.json:5: "), HasSubstr("field 'content': found 12, expected text")));
  EXPECT_THAT(error_of(with_turn(R"("role": "user", "query": "q", "expects": "frst")")),
              HasSubstr("did you mean 'first'?"));
}

TEST(Conversations, LeaveForeignFieldsAlone) {
  EXPECT_EQ(error_of(with_turn(R"("role": "user", "content": "y", "annotator_notes": [1])")),
            "no error");
}

TEST(Conversations, RefuseTurnsWithoutTextOrOutOfOrder) {
  EXPECT_THAT(error_of(with_turn(R"("role": "user", "content": "")")),
              HasSubstr("expected at least one of instruction, content, query"));
  EXPECT_THAT(error_of(with_turn(R"("role": "assistant", "content": "y")")),
              HasSubstr("expected a reply only after a user's turn"));
  EXPECT_THAT(error_of(with_turn(R"("role": "system", "content": "y")")),
              HasSubstr("no user turn"));
  EXPECT_THAT(error_of(with_turn(R"("content": "y")")), HasSubstr("field 'role': found nothing"));
  const std::string user = R"({"turn_id": 2, "role": "user", "query": "q"})";
  EXPECT_THAT(error_of(R"([{"id": "c", "turns": [)" + user + "," + user + "]}]"),
              HasSubstr("found 2 after 2, expected rising numbers"));
  EXPECT_THAT(error_of(R"([{"id": "c", "turns": [)" + user +
                       R"(, {"turn_id": 3, "role": "system", "content": "s"}]}])"),
              HasSubstr("only as the first turn"));
}

TEST(Conversations, RefuseRepeatedIdsAndFields) {
  const std::string c = R"({"id": "same", "turns": [{"role": "user", "query": "q"}]})";
  EXPECT_THAT(error_of("[" + c + ",\n" + c + "]"),
              AllOf(StartsWith("set.json:2: "), HasSubstr("found 'same' again")));
  EXPECT_THAT(error_of(with_turn("\"role\": \"user\",\n \"query\": \"a\",\n \"query\": \"b\"")),
              AllOf(StartsWith("set.json:4: "), HasSubstr("field 'query': found it twice")));
  EXPECT_THAT(error_of(R"([{"id": "c", "turns": [
      {"role": "user", "instruction": {"text": "x", "overridden_by": "i3"}},
      {"role": "user", "instruction": "y"}]}])"),
              HasSubstr("did you mean"));
}

TEST(Conversations, RefuseShapesThatAreNoConversations) {
  for (const char* text : {"[]", "{}", "3", "\"x\"", "null", R"({"conversations": []})"}) {
    EXPECT_THAT(error_of(text), HasSubstr("found no conversations")) << text;
  }
  EXPECT_THAT(error_of("[1]"), HasSubstr("conversation 1, found 1, expected an object"));
  EXPECT_THAT(error_of(R"([{"id": "c", "turns": {}}])"), HasSubstr("expected a list of turns"));
  EXPECT_THAT(error_of(R"([{"id": "c", "turns": [7]}])"), HasSubstr("turn 1, found 7"));
  EXPECT_THAT(error_of(R"([{"turns": [7]}])"), HasSubstr("field 'id': found nothing"));
}

TEST(Conversations, RefuseDeepNestingBeforeAnythingRecurses) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_THAT(error_of(deep), HasSubstr("nested 100000 deep"));
  EXPECT_THAT(error_of("[\"" + std::string(100, '[') + "\"]"), HasSubstr("expected an object"));
  EXPECT_THAT(error_of("\"no end"), HasSubstr("not JSON"));
}

size_t n_words(const std::string& text) {
  std::istringstream words(text);
  return static_cast<size_t>(std::distance(std::istream_iterator<std::string>(words), {}));
}

TEST(ShippedConversations, AreFifteenOverFiveConflictTypesLongEnoughForEvictionToBite) {
  const ConversationSet set =
      load_conversations(std::filesystem::path(EBB_SOURCE_DIR) / "data" / "validation.json");
  EXPECT_GE(set.conversations.size(), 15U);
  EXPECT_FALSE(set.version.empty());
  std::map<std::string, int> types;
  std::set<std::string> domains;
  for (const Conversation& c : set.conversations) {
    ++types[c.conflict_type];
    domains.insert(c.domain);
    ASSERT_EQ(c.turns.size(), 3U) << c.id;
    for (size_t i : {0U, 1U}) {
      EXPECT_TRUE(c.turns[i].instruction) << c.id;
      EXPECT_GE(n_words(c.turns[i].content), 60U) << c.id;
      EXPECT_LE(n_words(c.turns[i].content), 200U) << c.id;
    }
    EXPECT_NE(c.turns[0].instruction->text, c.turns[1].instruction->text) << c.id;
    EXPECT_FALSE(c.turns[2].query.empty()) << c.id;
    EXPECT_FALSE(c.turns[2].expected_behavior.empty()) << c.id;
  }
  EXPECT_THAT(types, testing::UnorderedElementsAre(testing::Pair("tone", testing::Ge(3)),
                                                   testing::Pair("detail", testing::Ge(3)),
                                                   testing::Pair("style", testing::Ge(3)),
                                                   testing::Pair("content", testing::Ge(3)),
                                                   testing::Pair("format", testing::Ge(3))));
  EXPECT_GE(domains.size(), 10U);
}

TEST(Conversations, AMissingFileIsAStorageError) {
  try {
    static_cast<void>(load_conversations("/nowhere/set.json"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  }
}

}  // namespace
}  // namespace ebb::experiment
