// Parsing of rules, errors, loose versions, and every rule of our own.
#include "eval/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace ebb::eval {
namespace {

using testing::HasSubstr;

bool passes(const std::string& rule, const std::string& reply,
            Strictness strictness = Strictness::kStrict) {
  return check_rule(parse_rule(rule), reply, strictness).has_passed();
}

std::string error_of(const std::string& rule) {
  try {
    parse_rule(rule);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    return error.what();
  }
  ADD_FAILURE() << "no error for " << rule;
  return "";
}

TEST(RuleParsing, ReadsIdAndParametersAndWritesThemBack) {
  const std::string json =
      R"({"id":"keywords:frequency","parameters":{"frequency":3,"keyword":"tea","relation":"less than"}})";
  const Rule rule = parse_rule(json);
  EXPECT_EQ(rule.id, "keywords:frequency");
  EXPECT_EQ(std::get<int64_t>(rule.parameters.at("frequency")), 3);
  EXPECT_EQ(std::get<std::string>(rule.parameters.at("keyword")), "tea");
  EXPECT_EQ(rule_to_json(rule), json);
  EXPECT_EQ(parse_rule("\"punctuation:no_comma\""), (Rule{"punctuation:no_comma", {}}));
}

TEST(RuleParsing, TakesWholeNumbersWrittenAsFractions) {
  const Rule rule = parse_rule(R"({"id":"ebb:max_words","parameters":{"words":5.0}})");
  EXPECT_EQ(std::get<int64_t>(rule.parameters.at("words")), 5);
  EXPECT_THAT(error_of(R"({"id":"ebb:max_words","parameters":{"words":5.5}})"),
              HasSubstr("found 5.5, expected an integer"));
}

TEST(RuleParsing, NamesTheNearestIdParameterAndChoice) {
  EXPECT_THAT(error_of(R"("punctuation:no_commas")"),
              HasSubstr("did you mean 'punctuation:no_comma'?"));
  EXPECT_THAT(error_of(R"({"id":"ebb:max_words","parameters":{"word":5}})"),
              HasSubstr("did you mean 'words'?"));
  EXPECT_THAT(error_of(R"({"id":"ebb:max_words","parameter":{}})"),
              HasSubstr("did you mean 'parameters'?"));
  EXPECT_THAT(error_of(R"({"id":"keywords:letter_frequency",
                           "parameters":{"letter":"a","let_frequency":1,"let_relation":"at leats"}})"),
              HasSubstr("did you mean 'at least'?"));
}

TEST(RuleParsing, RefusesWhatTheReferenceWouldReplaceByChance) {
  EXPECT_THAT(error_of(R"("keywords:existence")"), HasSubstr("found nothing, expected a value"));
  EXPECT_THAT(error_of(R"({"id":"ebb:max_words","parameters":{"words":0}})"),
              HasSubstr("expected at least 1"));
  EXPECT_THAT(error_of(R"({"id":"length_constraints:nth_paragraph_first_word",
                           "parameters":{"num_paragraphs":2,"nth_paragraph":3,"first_word":"a"}})"),
              HasSubstr("expected at most num_paragraphs = 2"));
  EXPECT_THAT(error_of(R"({"id":"keywords:letter_frequency",
                           "parameters":{"letter":"ab","let_frequency":1,"let_relation":"at least"}})"),
              HasSubstr("expected one character"));
}

TEST(RuleParsing, RefusesWrongTypesAndBrokenPatterns) {
  EXPECT_THAT(error_of("{"), HasSubstr("no valid JSON"));
  EXPECT_THAT(error_of("[]"), HasSubstr("expected an id or"));
  EXPECT_THAT(error_of(R"({"id":"ebb:contains","parameters":{"texts":"tea"}})"),
              HasSubstr("expected a list of texts"));
  EXPECT_THAT(error_of(R"({"id":"ebb:contains","parameters":{"texts":[]}})"),
              HasSubstr("found an empty list"));
  EXPECT_THAT(error_of(R"({"id":"ebb:starts_with","parameters":{"text":" "}})"),
              HasSubstr("found a blank text"));
  EXPECT_THAT(error_of(R"({"id":"keywords:existence","parameters":{"keywords":["a("]}})"),
              HasSubstr("no valid regular expression"));
}

TEST(RuleParsing, ChecksRulesThatWereMadeByHand) {
  EXPECT_THROW(check_rule({"ebb:max_words", {{"words", "five"}}}, "a", Strictness::kStrict), Error);
  EXPECT_THROW(check_rule({"ebb:max_words", {}}, "a", Strictness::kStrict), Error);
}

TEST(IfevalRows, DropNullsAndKeepTheOrder) {
  const std::vector<std::string> ids = {"punctuation:no_comma", "ebb:max_words"};
  const std::vector<Rule> rules = rules_from_ifeval(ids, R"([{"words":null},{"words":7}])");
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_TRUE(rules[0].parameters.empty());
  EXPECT_EQ(std::get<int64_t>(rules[1].parameters.at("words")), 7);
  EXPECT_THROW(rules_from_ifeval(ids, "[{}]"), Error);
}

TEST(RuleTable, HasUniqueIdsWithADescription) {
  const std::vector<std::string> ids = known_rules();
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
  const auto is_own = [](const std::string& id) { return id.starts_with("ebb:"); };
  EXPECT_EQ(ids.size() - static_cast<size_t>(std::count_if(ids.begin(), ids.end(), is_own)), 25U);
  for (const std::string& id : ids) {
    EXPECT_FALSE(describe_rule(id).empty()) << id;
  }
}

TEST(Looseness, TriesEightVersionsOfTheReply) {
  const std::string quote = R"("startend:quotation")";
  const std::vector<std::pair<std::string, std::string>> replies = {
      {"**\"a\"**", "without asterisks"},
      {"Sure\n\"a\"", "without the first line"},
      {"\"a\"\nBye", "without the last line"},
      {"Sure\n\"a\"\nBye", "without the first and last line"},
      {"Sure\n*\"a\"*", "without the first line and asterisks"},
      {"*\"a\"*\nBye", "without the last line and asterisks"},
      {"Sure\n*\"a\"*\nBye", "without the first and last line and asterisks"}};
  for (const auto& [reply, how] : replies) {
    EXPECT_FALSE(passes(quote, reply)) << reply;
    const RuleVerdict loose = check_rule(parse_rule(quote), reply, Strictness::kLoose);
    EXPECT_TRUE(loose.has_passed()) << reply;
    EXPECT_THAT(loose.detail, testing::EndsWith("(" + how + ")"));
  }
  EXPECT_FALSE(passes(quote, "Sure\nWell\n\"a\"", Strictness::kLoose));
}

TEST(Highlights, DoNotShareAMark) {
  const auto rule = [](int n) {
    return R"({"id":"detectable_format:number_highlighted_sections","parameters":{"num_highlights":)" +
           std::to_string(n) + "}}";
  };
  EXPECT_TRUE(passes(rule(2), "**a***b**"));
  EXPECT_FALSE(passes(rule(3), "**a***b**"));
}

TEST(Verdicts, FailAnEmptyReplyAndSkipReasoning) {
  EXPECT_FALSE(passes(R"("punctuation:no_comma")", ""));
  EXPECT_FALSE(passes(R"("punctuation:no_comma")", " \n", Strictness::kLoose));
  EXPECT_TRUE(passes(R"("punctuation:no_comma")", "<think>a, b</think> done"));
  EXPECT_FALSE(passes(R"("punctuation:no_comma")", "<think>never closed"));
}

TEST(Verdicts, SayWhatWasFoundAndExpected) {
  const RuleVerdict found =
      check_rule(parse_rule(R"({"id":"ebb:max_words","parameters":{"words":2}})"), "a b c",
                 Strictness::kStrict);
  EXPECT_EQ(found.detail, "found 3 words, expected at most 2");
}

TEST(Verdicts, StandMalformedBytes) {
  EXPECT_TRUE(passes(R"("punctuation:no_comma")", "tea \xff\xfe\xc3"));
  EXPECT_FALSE(passes(R"("punctuation:no_comma")", "tea\xff, milk"));
}

TEST(Keywords, EndASearchThatWouldTakeForever) {
  const std::string rule = R"({"id":"keywords:existence","parameters":{"keywords":["(a|aa)+$b"]}})";
  EXPECT_THROW(passes(rule, std::string(60, 'a') + "c"), Error);
}

struct Example {
  std::string rule;
  std::string pass;
  std::string fail;
};

class OwnRules : public testing::TestWithParam<Example> {};

TEST_P(OwnRules, PassAndFail) {
  const Example& example = GetParam();
  EXPECT_TRUE(passes(example.rule, example.pass)) << example.rule << "\n" << example.pass;
  EXPECT_FALSE(passes(example.rule, example.fail)) << example.rule << "\n" << example.fail;
}

std::string with(const std::string& id, const std::string& parameters) {
  return R"({"id":")" + id + R"(","parameters":)" + parameters + "}";
}

INSTANTIATE_TEST_SUITE_P(
    All, OwnRules,
    testing::Values(
        Example{with("ebb:starts_with", R"({"text":"Élan"})"), " éLAN vital", "An élan"},
        Example{with("ebb:ends_with", R"({"text":"bye."})"), "Good Bye. \n", "bye. Now"},
        Example{with("ebb:contains", R"({"texts":["c++","tea"]})"), "Tea and C++!", "teapot, C++"},
        Example{with("ebb:absent", R"({"texts":["art"]})"), "party", "The ART of tea"},
        Example{with("ebb:max_words", R"({"words":3})"), "one two three", "one two three four"},
        Example{with("ebb:min_words", R"({"words":3})"), "one two three", "one two"},
        Example{with("ebb:max_sentences", R"({"sentences":2})"), "Dr. Ek left. Why?",
                "It rained. We left. Why?"},
        Example{R"("ebb:no_digits")", "one", "1"}, Example{R"("ebb:has_digits")", "no. ٣", "three"},
        Example{R"("ebb:all_caps")", "ÉCOLE 7!", "ÉCOLe"},
        Example{R"("ebb:all_lowercase")", "école 7!", "École"},
        Example{R"("ebb:all_lowercase")", "a", "123"},
        Example{R"("ebb:exclamation")", "Yes!", "Yes."},
        Example{R"("ebb:no_exclamation")", "Yes.", "Yes！"},
        Example{R"("ebb:first_person")", "Here I’m sure.", "The US team in Miami"},
        Example{R"("ebb:no_first_person")", "It is in the US.", "They told us."},
        Example{R"("ebb:contractions")", "It isn’t.", "The dog's bowl, the '90s"},
        Example{R"("ebb:no_contractions")", "It is Anna's.", "It's late."},
        Example{R"("ebb:question_end")", "Shall we go?\"**", "Why? Because."},
        Example{R"("ebb:emoji")", "Fine 😀", "Fine :) 1 # © ½"},
        Example{R"("ebb:no_emoji")", "Fine — 100 °C", "🇫🇷 here"},
        Example{R"("ebb:numbered_list")", "Steps:\n1. a\n\n2) b", "1. a\n3. b\n2.b"},
        Example{with("ebb:numbered_list", R"({"items":3})"), "1. a\n2. b\n3. c", "1. a\n2. b"},
        Example{R"("ebb:bullet_list")", "- a\n  * b", "- a\n**b** c"},
        Example{with("ebb:bullet_list", R"({"items":1})"), "• a", "a - b"},
        Example{R"("ebb:single_paragraph")", "a\nb", "a\n \nb"},
        Example{R"("ebb:table")", "x\n| a | b |\n|:--|--:|\n| 1 | 2 |",
                "| a | b |\n| 1 | 2 |\n---"},
        Example{R"("ebb:table")", "a | b\n--|--", "a | b\n|--|--|--|"},
        Example{R"("ebb:json")", "```json\n{\"a\": [1]}\n```", "{a: 1}"}));

}  // namespace
}  // namespace ebb::eval
