#include "experiment/generator.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "base/error.h"
#include "eval/rules.h"
#include "experiment/balanced_set.h"
#include "experiment/conversation_json.h"

namespace ebb::experiment {
namespace {

using testing::HasSubstr;

std::string file_text(const std::string& path) {
  std::ifstream file(std::string(EBB_SOURCE_DIR) + "/" + path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const ConversationSet& conflicts() {
  static const ConversationSet kSet =
      load_conversations(std::string(EBB_SOURCE_DIR) + "/data/conflicts.json");
  return kSet;
}

std::vector<Instruction> instructions_of(const Conversation& conversation) {
  std::vector<Instruction> out;
  for (const ConversationTurn& turn : conversation.turns) {
    if (turn.instruction) out.push_back(*turn.instruction);
  }
  return out;
}

// What the ranges say about the first two instructions in the last turn.
std::string expected_by_ranges(const Conversation& conversation) {
  const int last = conversation.turns.back().turn_id;
  const std::vector<Instruction> all = instructions_of(conversation);
  const auto is_active = [&](size_t which) {
    return which < all.size() && all[which].active_from.value() <= last &&
           all[which].active_until.value_or(last) >= last && all[which].overridden_by.empty();
  };
  if (is_active(0) && is_active(1)) return "both";
  return is_active(0) ? "first" : is_active(1) ? "second" : "neither";
}

// Whole exchanges between the last instruction and the scored turn.
int age_of(const Conversation& conversation) {
  const std::vector<Exchange> exchanges = exchanges_of(conversation);
  size_t last = 0;
  for (size_t i = 0; i < exchanges.size(); ++i) {
    if (exchanges[i].turn->instruction) last = i;
  }
  return static_cast<int>(exchanges.size()) - 2 - static_cast<int>(last);
}

std::string kind_of(const Conversation& conversation) {
  return conversation.id.substr(0, conversation.id.find('-'));
}

using Counts = std::map<std::string, int>;

Counts counts(const std::function<std::string(const Conversation&)>& key) {
  Counts out;
  for (const Conversation& conversation : conflicts().conversations) ++out[key(conversation)];
  return out;
}

TEST(Conflicts, AreWhatTheGeneratorWrites) {
  EXPECT_EQ(conversations_to_json(make_balanced_set(builtin_bank())),
            file_text("data/conflicts.json"));
  EXPECT_EQ(conflicts().version, builtin_bank().version);
}

TEST(Conflicts, AreBalancedAsTheCardSays) {
  EXPECT_EQ(conflicts().conversations.size(), 120U);
  const Counts types = counts([](const Conversation& c) { return c.conflict_type; });
  EXPECT_EQ(types,
            (Counts{{"content", 24}, {"detail", 24}, {"format", 24}, {"style", 24}, {"tone", 24}}));
  const Counts domains = counts([](const Conversation& c) { return c.domain; });
  EXPECT_EQ(domains.size(), 10U);
  for (const auto& [domain, count] : domains) EXPECT_EQ(count, 12) << domain;
  const Counts kinds = counts(kind_of);
  EXPECT_EQ(kinds.size(), 6U);
  for (const auto& [kind, count] : kinds) EXPECT_EQ(count, 20) << kind;
  EXPECT_EQ(counts([](const Conversation& c) { return c.turns.back().expects; }),
            (Counts{{"both", 20}, {"first", 40}, {"neither", 20}, {"second", 40}}));
  EXPECT_EQ(counts([](const Conversation& c) { return kind_of(c) + " " + c.conflict_type; }).size(),
            30U);
}

TEST(Conflicts, HaveTheLengthsOfTheCard) {
  int n_middle = 0, n_past_windows = 0;
  for (const Conversation& conversation : conflicts().conversations) {
    const int n_tokens = estimated_tokens_before_last(conversation);
    EXPECT_LE(n_tokens, 3000) << conversation.id;
    n_middle += n_tokens >= 800 ? 1 : 0;
    n_past_windows += n_tokens > 2100 ? 1 : 0;
  }
  EXPECT_EQ(n_middle, 100);
  EXPECT_EQ(n_past_windows, 24);
}

TEST(Conflicts, HaveYoungAndOldInstructions) {
  Counts ages;
  for (const Conversation& conversation : conflicts().conversations) {
    const int age = age_of(conversation);
    ++ages[age <= 2 ? "1-2" : age <= 7 ? "3-7" : "8-13"];
    EXPECT_LE(age, 13) << conversation.id;
  }
  EXPECT_EQ(ages, (Counts{{"1-2", 72}, {"3-7", 20}, {"8-13", 28}}));
}

TEST(Conflicts, StateTheSameInRangesAndInExpects) {
  for (const Conversation& conversation : conflicts().conversations) {
    EXPECT_EQ(expected_by_ranges(conversation), conversation.turns.back().expects)
        << conversation.id;
  }
}

TEST(Conflicts, ComeInBothOrdersThatDifferInNothingElse) {
  std::map<std::string, const Conversation*> by_id;
  for (const Conversation& c : conflicts().conversations) by_id[c.id] = &c;
  for (const auto& [id, ab] : by_id) {
    if (!id.ends_with("-ab")) continue;
    const std::string other = id.substr(0, id.size() - 2) + "ba";
    ASSERT_TRUE(by_id.contains(other)) << id;
    const Conversation& ba = *by_id[other];
    ASSERT_EQ(ab->turns.size(), ba.turns.size()) << id;
    for (size_t i = 0; i < ba.turns.size(); ++i) {
      EXPECT_EQ(ab->turns[i].content, ba.turns[i].content) << id;
      EXPECT_EQ(ab->turns[i].query, ba.turns[i].query) << id;
      EXPECT_EQ(ab->turns[i].instruction.has_value(), ba.turns[i].instruction.has_value()) << id;
    }
    const auto first = instructions_of(*ab), reversed = instructions_of(ba);
    EXPECT_NE(first[0].id, reversed[0].id) << id;
    if (first.size() > 1) {
      EXPECT_EQ(first[0].id, reversed[1].id) << id;
    }
  }
}

TEST(Conflicts, HaveRecordedRepliesInAllTurnsButTheScoredOne) {
  for (const Conversation& conversation : conflicts().conversations) {
    const std::vector<Exchange> exchanges = exchanges_of(conversation);
    for (const Exchange& exchange : exchanges) {
      const bool is_scored = &exchange == &exchanges.back();
      EXPECT_EQ(exchange.recorded_reply.has_value(), !is_scored) << conversation.id;
      EXPECT_EQ(exchange.turn->query.empty(), !is_scored) << conversation.id;
    }
  }
}

bool obeys(const BankInstruction& instruction, const std::string& reply) {
  for (const std::string& rule : instruction.rules) {
    const auto verdict = eval::check_rule(eval::parse_rule(rule), reply, eval::Strictness::kStrict);
    if (!verdict.has_passed()) return false;
  }
  return true;
}

// Short replies that obey, by instruction; the pair's other side must or must not be obeyed too.
const std::map<std::string, std::string> kObedient = {
    {"excited", "Soil is great! It feeds us!"},
    {"calm", "Soil holds water."},
    {"casual", "It's good soil."},
    {"formal", "It is good soil."},
    {"brief", "Soil holds water."},
    {"digits", "Wait 3 days."},
    {"no-digits", "Wait some days."},
    {"lower-case", "soil holds the water for the plants in the garden."},
    {"capitals", "SOIL HOLDS THE WATER."},
    {"first-person", "I like my soil."},
    {"impersonal", "Soil is liked."},
    {"with-example", "Take worms, for example."},
    {"without-example", "Take worms."},
    {"ending-question", "Do you have worms?"},
    {"ending-words", "Worms help. That is all."},
    {"note-opening", "Note: worms help."},
    {"dear-opening", "Dear reader, worms help."},
    {"dashes", "- Worms help.\n- Water helps."},
    {"paragraph", "Today worms help."},
    {"full",
     "Good soil holds water and air, and it feeds the plants and the many small animals that live "
     "in it, and these animals in turn keep it loose so that roots can grow down into the ground "
     "and find what they need in every season of the year, even when the rain stays away for "
     "long."},
};
const std::map<std::string, std::string> kObedientToBoth = {
    {"friendliness", "Hello, worms help!"},    {"facts", "Wait 3 days."},
    {"voice", "do you have worms?"},           {"mentions", "The teacher comes in the morning."},
    {"frame", "Note: worms help. Thank you."},
};

TEST(Bank, PairsExcludeEachOtherOrNotAsTheySay) {
  for (const BankPair& pair : builtin_bank().pairs) {
    if (pair.relation == PairRelation::kCompatible) {
      const std::string& reply = kObedientToBoth.at(pair.name);
      EXPECT_TRUE(obeys(pair.sides[0], reply) && obeys(pair.sides[1], reply)) << pair.name;
      continue;
    }
    for (const size_t side : {0U, 1U}) {
      const std::string& reply = kObedient.at(pair.sides[side].id);
      EXPECT_TRUE(obeys(pair.sides[side], reply)) << pair.sides[side].id;
      EXPECT_FALSE(obeys(pair.sides[1 - side], reply)) << pair.sides[side].id;
    }
  }
}

TEST(Bank, HasRepliesOfOrdinaryLength) {
  for (const BankDomain& domain : builtin_bank().domains) {
    EXPECT_GE(domain.fillers.size(), 12U) << domain.name;
    for (const BankExchange& filler : domain.fillers) {
      const auto n_words = 1 + std::count(filler.reply.begin(), filler.reply.end(), ' ');
      EXPECT_GE(n_words, 40) << filler.question;
      EXPECT_LE(n_words, 150) << filler.question;
    }
  }
}

TEST(Bank, NamesTheFieldOfAnError) {
  try {
    static_cast<void>(
        parse_bank("{\"version\": \"1\",\n \"phrases\": {\"ask\": []}}", "bank.json"));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("bank.json:2"), HasSubstr("announce")));
  }
}

TEST(Generator, KeepsAgeAndLengthForEveryKind) {
  for (const std::string& name : conflict_kind_names()) {
    const GeneratorOptions options{
        .kind = parse_conflict_kind(name), .age = 3, .n_tokens_min = 1200, .count = 4, .seed = 5};
    const std::vector<Conversation> made = generate(builtin_bank(), options);
    ASSERT_EQ(made.size(), 4U);
    for (const Conversation& conversation : made) {
      EXPECT_GE(estimated_tokens_before_last(conversation), 1200) << conversation.id;
      EXPECT_EQ(expected_by_ranges(conversation), conversation.turns.back().expects) << name;
      EXPECT_EQ(age_of(conversation), 3) << conversation.id;
    }
  }
}

TEST(Generator, GivesTheSameForASeedAndOtherTextForAnother) {
  const auto text = [](uint64_t seed) {
    ConversationSet set;
    set.conversations = generate(builtin_bank(), {.count = 6, .seed = seed});
    for (Conversation& conversation : set.conversations) conversation.id.clear();
    return conversations_to_json(set);
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(Generator, ReadsBackWhatItWrites) {
  ConversationSet set;
  set.version = "v";
  set.conversations = generate(builtin_bank(), {.kind = ConflictKind::kCancelled, .count = 30});
  const std::string text = conversations_to_json(set);
  EXPECT_EQ(conversations_to_json(parse_conversations(text, "set.json")), text);
}

TEST(Generator, SaysHowFarItCanGo) {
  const auto error_of = [](const GeneratorOptions& options) -> std::string {
    try {
      static_cast<void>(generate(builtin_bank(), options));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(error_of({.age = 24}), HasSubstr("age: found 24, expected at most 23"));
  EXPECT_THAT(error_of({.n_tokens_min = 90000}),
              HasSubstr("tokens: found 90000, expected at most"));
  EXPECT_THAT(error_of({.count = 0}), HasSubstr("count: found 0"));
  EXPECT_THROW(static_cast<void>(parse_conflict_kind("overiding")), Error);
}

}  // namespace
}  // namespace ebb::experiment
