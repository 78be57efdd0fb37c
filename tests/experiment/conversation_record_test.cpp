#include "experiment/conversation_record.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace ebb::experiment {
namespace {

TEST(ConversationRecord, KeepsEveryFieldOfTurnsAndInstructions) {
  const ConversationSet set = parse_conversations(R"([
    {"id": "c", "conflict_type": "tone", "domain": "travel", "turns": [
      {"turn_id": 1, "role": "system", "content": "A guide."},
      {"turn_id": 2, "role": "user", "content": "A text.", "instruction": {"id": "loud",
        "text": "Shout.", "rules": [{"id": "ebb:all_caps"}], "active_from": 2, "active_until": 4,
        "overridden_by": "quiet"}},
      {"turn_id": 3, "role": "assistant", "content": "HELLO."},
      {"turn_id": 5, "role": "user", "instruction": {"id": "quiet", "text": "Whisper."},
       "query": "Where to?", "expected_behavior": "Small letters.", "expects": "second"}]}])",
                                                  "set.json");
  const record::ConversationText out = to_record(set.conversations[0]);
  EXPECT_EQ(out.id, "c");
  EXPECT_EQ(out.conflict_type, "tone");
  EXPECT_EQ(out.domain, "travel");
  ASSERT_EQ(out.instructions.size(), 2U);
  EXPECT_EQ(out.instructions[0].id, "loud");
  EXPECT_EQ(out.instructions[0].text, "Shout.");
  EXPECT_THAT(out.instructions[0].rules, testing::ElementsAre(R"({"id":"ebb:all_caps"})"));
  EXPECT_EQ(out.instructions[0].active_from, 2);
  EXPECT_EQ(out.instructions[0].active_until, 4);
  EXPECT_EQ(out.instructions[0].overridden_by, "quiet");
  EXPECT_EQ(out.instructions[1].active_from, std::nullopt);
  ASSERT_EQ(out.turns.size(), 4U);
  EXPECT_EQ(out.turns[0].speaker, "system");
  EXPECT_EQ(out.turns[0].instruction_id, "");
  EXPECT_EQ(out.turns[1].speaker, "user");
  EXPECT_EQ(out.turns[1].instruction_id, "loud");
  EXPECT_EQ(out.turns[1].content, "A text.");
  EXPECT_EQ(out.turns[2].speaker, "assistant");
  EXPECT_EQ(out.turns[3].turn_id, 5);
  EXPECT_EQ(out.turns[3].query, "Where to?");
  EXPECT_EQ(out.turns[3].expected_behavior, "Small letters.");
  EXPECT_EQ(out.turns[3].expects, "second");
  EXPECT_EQ(record::to_json(to_record(from_record(out))), record::to_json(out));
  EXPECT_EQ(from_record(out).turns[1].instruction->active_until, 4);
}

TEST(ConversationRecord, WhatNoRecordHoldsIsRefused) {
  record::ConversationText text;
  text.turns = {{.turn_id = 1, .speaker = "narrator"}};
  EXPECT_THROW(from_record(text), Error);
  text.turns = {{.turn_id = 1, .speaker = "user", .instruction_id = "gone"}};
  EXPECT_THROW(from_record(text), Error);
}

}  // namespace
}  // namespace ebb::experiment
