#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "experiment/study.h"

namespace ebb::experiment {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSmall = R"(
name = "s"
[[arms]]
name = "baseline"
kind = "baseline"
[[arms]]
name = "snap"
treatment = "snapkv"
budget = [32, 64]
kernel = [5, 7]
)";

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_study(text, "s.toml", overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    return error.what();
  }
  return "no error";
}

TEST(StudyFile, ListsOfAnArmBecomeOneArmForEachCombination) {
  const Study study = parse_study(kSmall, "s.toml");
  ASSERT_EQ(study.arms.size(), 5U);
  EXPECT_EQ(study.arms[1].name, "snap budget=32 kernel=5");
  EXPECT_EQ(study.arms[4].name, "snap budget=64 kernel=7");
  EXPECT_EQ(treatment_of(study.arms[4]).budget.count, 64);
}

TEST(StudyFile, WhatIsWrittenOutReadsBackToTheSame) {
  for (const Preset& preset : presets()) {
    const std::string resolved = to_toml(parse_study(preset.text, preset.name));
    EXPECT_EQ(to_toml(parse_study(resolved, "resolved")), resolved) << preset.name;
  }
}

TEST(StudyFile, EveryPresetHasABaselineAndAFloor) {
  for (const Preset& preset : presets()) {
    const Study study = parse_study(preset.text, preset.name);
    EXPECT_EQ(study.name, preset.name);
    int n_floors = 0;
    for (const StudyArm& arm : study.arms) n_floors += arm.kind == StudyArmKind::kNoInstruction;
    EXPECT_EQ(n_floors, 1) << preset.name;
    EXPECT_FALSE(study.contrasts.empty()) << preset.name;
  }
}

// Two contrasts of which the first asks for a test of equivalence.
std::string with_contrasts(const std::string& more) {
  return std::string(kSmall) + R"(
[[contrasts]]
name = "same"
first = "baseline"
second = "snap budget=32 kernel=5"
)" + more +
         R"(
[[contrasts]]
first = "baseline"
second = "snap budget=64 kernel=7"
)";
}

TEST(StudyFile, EquivalenceHasAMarginForEveryEndpoint) {
  const std::string text = with_contrasts("equivalence = true\n");
  const Study study =
      parse_study(text + "[equivalence]\nrecall = 0.25\n", "s.toml", {"equivalence.rules=0.05"});
  EXPECT_EQ(study.contrasts[0].margins.at("recall"), 0.25);
  EXPECT_EQ(study.contrasts[0].margins.at("rules"), 0.05);
  EXPECT_EQ(study.contrasts[0].margins.at("retention"), 0.1);  // the default
  EXPECT_EQ(study.contrasts[0].margins.size(), default_margins().size());
  EXPECT_TRUE(study.contrasts[1].margins.empty());
  const std::string resolved = to_toml(study);
  for (const auto& [endpoint, margin] : study.margins) {
    EXPECT_THAT(resolved, HasSubstr(fmt::format("\n{} = {}\n", endpoint, margin)));
  }
  EXPECT_EQ(parse_study(resolved, "resolved").contrasts[0].margins, study.contrasts[0].margins);
}

TEST(StudyFile, MarginsThatSayNothingAreRefused) {
  const std::string text = with_contrasts("equivalence = true\n");
  EXPECT_THAT(error_of(text + "[equivalence]\nrecal = 0.2\n"),
              HasSubstr("[equivalence]: line 22: unknown key 'recal' (did you mean 'recall'?)"));
  EXPECT_THAT(error_of(text + "[equivalence]\nkl = 0\n"),
              HasSubstr("equivalence: kl = 0, expected a number above 0"));
  EXPECT_THAT(error_of(text + "[equivalence]\nkl = inf\n"), HasSubstr("expected a number above 0"));
  EXPECT_THAT(error_of(text + "[equivalence]\nkl = \"much\"\n"), HasSubstr("expected a number"));
  // The key of before, which was one number whatever the endpoint.
  EXPECT_THAT(error_of(with_contrasts("margin = 0.1\n")),
              HasSubstr("s.toml: line 16: margin: one number cannot fit every endpoint: expected "
                        "equivalence = true here"));
}

TEST(StudyFile, EveryTestOfTheDocumentationCanBeAskedFor) {
  for (const char* test : {"permutation", "paired_t", "wilcoxon", "mcnemar", "mcnemar_midp"}) {
    EXPECT_EQ(error_of(kSmall, {std::string("statistics.test=") + test}), "no error") << test;
  }
}

TEST(StudyFile, OverridesReachTopLevelAndTables) {
  const Study study = parse_study(
      kSmall, "s",
      {"max_new=7", "statistics.primary=recall", "sampling.temperature=0.5", "seeds=3"});
  EXPECT_EQ(study.max_new, 7);
  EXPECT_EQ(study.primary_endpoint, "recall");
  EXPECT_EQ(study.sampling.temperature, 0.5F);
  EXPECT_EQ(study.seeds.size(), 3U);
}

TEST(StudyFile, MistakesAreNamedWithTheNearestChoice) {
  const std::string base = kSmall;
  EXPECT_THAT(error_of("max_nwe = 3\n" + base), HasSubstr("unknown key 'max_nwe'"));
  EXPECT_THAT(error_of("max_nwe = 3\n" + base), HasSubstr("max_new"));
  EXPECT_THAT(error_of("max_new = \"x\"\n" + base), HasSubstr("expected a whole number"));
  EXPECT_THAT(error_of(base + "budgte = 3\n"), HasSubstr("budgte"));
  EXPECT_THAT(error_of(base + "[[arms]]\nname = \"x\"\ntreatment = \"snapkw\"\nbudget = 3\n"),
              HasSubstr("snapkv"));
  EXPECT_THAT(error_of("history = \"owm\"\n" + base), HasSubstr("own"));
  EXPECT_THAT(error_of(base + "[[arms]]\nname = \"baseline\"\nkind = \"baseline\"\n"),
              HasSubstr("two arms are called 'baseline'"));
  EXPECT_THAT(error_of(base + "[[contrasts]]\nfirst = \"baseline\"\nsecond = \"snip\"\n"),
              HasSubstr("no arm is called 'snip'"));
  EXPECT_THAT(
      error_of(base + "[[arms]]\nname = \"t\"\nkind = \"text_removal\"\nrepeats = \"snap\"\n"),
      HasSubstr("with the policy streaming"));
  EXPECT_THAT(error_of("x = = 1\n"), HasSubstr("s.toml:1"));
  EXPECT_THAT(error_of("name = \"n\"\n"), HasSubstr("found 0 arms of kind baseline"));
  EXPECT_THAT(error_of(base, {"statistics.primary=rulez"}), HasSubstr("rules"));
}

// What would fail only after everything was computed is refused before.
TEST(StudyFile, WhatCouldNotBeFinishedOrReportedIsRefused) {
  const std::string base = kSmall;
  const std::string streaming =
      "[[arms]]\nname = \"s\"\ntreatment = \"streaming\"\nratio = \"0.25\"\nof = \"live\"\n";
  const auto arm = [](const std::string& text) { return "[[arms]]\n" + text + "\n"; };
  EXPECT_THAT(error_of(base, {"statistics.test=mcnemar_mid"}),
              HasSubstr("(did you mean 'mcnemar_midp'?)"));
  EXPECT_THAT(error_of(base + arm("name = \"b\"\nkind = \"no_instruction\"") +
                       arm("name = \"c\"\nkind = \"no_instruction\"")),
              HasSubstr("the same arm twice"));
  EXPECT_THAT(error_of("seeds = [1, 1]\n" + base), HasSubstr("a seed stands twice"));
  EXPECT_THAT(error_of("seeds = [1, -2]\n" + base), HasSubstr("seeds: found -2"));
  EXPECT_THAT(error_of("seeds = [1, \"x\"]\n" + base), HasSubstr("seeds: found x"));
  EXPECT_THAT(error_of("seeds = 2000000\n" + base), HasSubstr("a count from 1 to 1000000"));
  EXPECT_THAT(
      error_of(base + streaming + arm("name = \"t\"\nkind = \"text_removal\"\nrepeats = \"s\"")),
      HasSubstr("no other settings than keep_initial"));
  const std::string lag = arm("name = \"lag\"\ntreatment = \"lagkv_recursive\"");
  const std::string matched = "name = \"m\"\ntreatment = \"knorm\"\nmatch_bytes = ";
  EXPECT_THAT(error_of(base + lag + arm(matched + "\"lga\"")), HasSubstr("did you mean 'lag'?"));
  EXPECT_THAT(error_of(base + lag + arm(matched + "\"baseline\"")), HasSubstr("kind treatment"));
  EXPECT_THAT(error_of(base + lag + arm(matched + "\"lag\"\nshare = \"0.5\"")),
              HasSubstr("expected one of them"));
  EXPECT_THAT(error_of(base + lag + arm(matched + "\"m\"")),
              HasSubstr("not itself matched by bytes"));
  EXPECT_THAT(error_of(base + arm("name = \"lag\"\ntreatment = \"lagkv_recursive\"\nshare = 0.5")),
              HasSubstr("match_bytes = \"lag\""));
  EXPECT_THAT(error_of(base + lag + arm(matched + "\"lag\"\nlayers = \"global\"")),
              HasSubstr("layers = all"));
  const std::string lag2 = arm("name = \"lag2\"\ntreatment = \"lagkv_recursive\"\nlag = 64");
  const Study listed =
      parse_study(base + lag + lag2 + arm(matched + "[\"lag\", \"lag2\"]"), "test");
  EXPECT_EQ(listed.arms.back().match_bytes, "lag2");
  EXPECT_EQ(listed.arms.back().name, "m match_bytes=lag2");
  const Study treatments = parse_study(
      base + arm("name = \"t\"\ntreatment = [\"knorm\", \"keydiff\"]\nbudget = 5"), "test");
  EXPECT_EQ(treatments.arms.back().treatment, "keydiff");
  EXPECT_THAT(error_of(base + arm("name = \"s\"\ntreatment = \"streaming\"\nrepeats = \"s\"")),
              HasSubstr("repeats belongs to the kind text_removal"));
  EXPECT_THAT(error_of(base, {"measures.recall=false", "statistics.primary=recall"}),
              HasSubstr("'recall' is not measured with measures.recall = false"));
  EXPECT_THAT(error_of(base, {"measures.generate=false", "statistics.primary=rules"}),
              HasSubstr("measures.generate"));
  EXPECT_THAT(
      error_of(base + arm("name = \"l\"\ntreatment = \"lagkv_recursive\"\nshare = \"0.5\"")),
      HasSubstr("cannot have a share"));
  EXPECT_THAT(error_of(base, {"statistics.rule_weight=0"}), HasSubstr("not both 0"));
  EXPECT_THAT(
      error_of(base + "[[contrasts]]\nname = \"c\"\nfirst = \"baseline\"\nsecond = \"baseline\"\n"),
      HasSubstr("against itself"));
}

TEST(StudyFile, WithoutRulesRecallIsThePrimaryEndpoint) {
  Study study = parse_study(kSmall, "s.toml", {"statistics.primary=rules"});
  Conversation conversation;
  conversation.turns.emplace_back();
  EXPECT_THROW(settle_primary(study, {conversation}), Error);  // nothing to obey or to recall
  conversation.turns.back().instruction = Instruction{"i1", "Be brief.", {}, {}, {}, ""};
  EXPECT_THAT(settle_primary(study, {conversation}), HasSubstr("recall instead of rules"));
  EXPECT_EQ(study.primary_endpoint, "recall");
  study.primary_endpoint = "rules";
  conversation.turns.back().instruction->rules = {R"({"id": "x"})"};
  EXPECT_EQ(settle_primary(study, {conversation}), "");
  EXPECT_EQ(study.primary_endpoint, "rules");
}

// What the TOML library takes for granted, and a damaged file breaks.
TEST(StudyFile, DamagedTextIsNoTomlAndNothingWorse) {
  for (const char* text :
       {"[:a]", "[[:a]]", "[{a]", "[[.]]", "\xCE\x98 = 1", "[\xC3\xA9]", "a = \xCE\x98"}) {
    EXPECT_THAT(error_of(text), HasSubstr("s.toml:1: not TOML")) << text;
  }
}

TEST(StudyFile, ASampleFollowsIdsAndNotTheOrderOfTheFile) {
  std::vector<Conversation> all(20);
  for (size_t i = 0; i < all.size(); ++i) all[i].id = "c" + std::to_string(i);
  std::vector<Conversation> some = all;
  sample_conversations(some, 5);
  ASSERT_EQ(some.size(), 5U);
  std::vector<Conversation> turned(all.rbegin(), all.rend());
  sample_conversations(turned, 5);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(some[i].id, turned[4 - i].id);
  sample_conversations(all, 0);
  EXPECT_EQ(all.size(), 20U);
}

}  // namespace
}  // namespace ebb::experiment
