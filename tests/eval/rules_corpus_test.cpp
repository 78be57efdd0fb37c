// Verdicts on a corpus of our own, against those of the public reference checker.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "eval/rules.h"

namespace ebb::eval {
namespace {

using Json = nlohmann::json;

struct Case {
  Rule rule;
  std::string reply;
  bool passes_strict;
  bool passes_loose;
};

std::vector<Case> load_corpus() {
  std::ifstream file(EBB_FIXTURES "/rules/corpus.json");
  const Json corpus = Json::parse(file);
  std::vector<Case> cases;
  for (const Json& row : corpus["cases"]) {
    const std::vector<std::string> ids = {row[0].get<std::string>()};
    cases.push_back({rules_from_ifeval(ids, Json::array({row[1]}).dump()).front(),
                     corpus["replies"][row[2].get<size_t>()].get<std::string>(), row[3].get<bool>(),
                     row[4].get<bool>()});
  }
  return cases;
}

struct Tally {
  size_t n_cases = 0;
  size_t n_passed = 0;
  size_t n_equal = 0;
  std::string differences;
};

// By rule, for one strictness.
std::map<std::string, Tally> compare(Strictness strictness) {
  std::map<std::string, Tally> tallies;
  for (const Case& item : load_corpus()) {
    const bool expected =
        strictness == Strictness::kStrict ? item.passes_strict : item.passes_loose;
    const RuleVerdict found = check_rule(item.rule, item.reply, strictness);
    Tally& tally = tallies[item.rule.id];
    ++tally.n_cases;
    tally.n_passed += expected ? 1 : 0;
    if (found.has_passed() == expected) {
      ++tally.n_equal;
    } else {
      tally.differences += rule_to_json(item.rule) + "\n  reply: " + Json(item.reply).dump() +
                           "\n  ours: " + (expected ? "fail" : "pass") + ": " + found.detail + "\n";
    }
  }
  return tallies;
}

// Classes whose reference uses a trained sentence splitter or language detector.
const std::set<std::string> kByModel = {
    "length_constraints:number_sentences", "change_case:capital_word_frequency",
    "change_case:english_capital", "change_case:english_lowercase", "language:response_language"};

class RuleCorpus : public testing::TestWithParam<Strictness> {};

TEST_P(RuleCorpus, AgreesWithTheReferenceChecker) {
  const std::map<std::string, Tally> tallies = compare(GetParam());
  EXPECT_EQ(tallies.size(), 25U);
  for (const auto& [id, tally] : tallies) {
    SCOPED_TRACE(id);
    const double agreement =
        static_cast<double>(tally.n_equal) / static_cast<double>(tally.n_cases);
    RecordProperty(id, std::to_string(agreement));
    const double least = kByModel.contains(id) ? 0.98 : 1.0;
    EXPECT_GE(agreement, least) << tally.n_cases - tally.n_equal << " of " << tally.n_cases << "\n"
                                << tally.differences;
  }
}

TEST_P(RuleCorpus, HasPassesAndFailsOfEveryClass) {
  for (const auto& [id, tally] : compare(GetParam())) {
    SCOPED_TRACE(id);
    EXPECT_GE(tally.n_cases, 100U);
    const double share = static_cast<double>(tally.n_passed) / static_cast<double>(tally.n_cases);
    EXPECT_GE(share, 0.2);
    EXPECT_LE(share, 0.8);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RuleCorpus, testing::Values(Strictness::kStrict, Strictness::kLoose),
                         [](const auto& tested) {
                           return tested.param == Strictness::kStrict ? "Strict" : "Loose";
                         });

TEST(RuleData, EveryRuleOfSysIfevalParses) {
  const char* folder = std::getenv("EBB_SHARED_DATA");
  if (folder == nullptr) {
    GTEST_SKIP() << "EBB_SHARED_DATA is not set";
  }
  std::ifstream file(std::string(folder) + "/sys_ifeval.jsonl");
  ASSERT_TRUE(file) << "no sys_ifeval.jsonl in " << folder;
  size_t n_rows = 0;
  for (std::string line; std::getline(file, line); ++n_rows) {
    const Json row = Json::parse(line);
    const auto ids = row["instruction_id_list"].get<std::vector<std::string>>();
    const std::vector<Rule> rules = rules_from_ifeval(ids, row["kwargs"].dump());
    EXPECT_EQ(rules.size(), ids.size());
    for (const Rule& rule : rules) {
      EXPECT_NO_THROW(check_rule(rule, "Some reply, in two\nlines.", Strictness::kLoose));
      EXPECT_EQ(parse_rule(rule_to_json(rule)), rule);
    }
  }
  EXPECT_EQ(n_rows, 539U);
}

}  // namespace
}  // namespace ebb::eval
