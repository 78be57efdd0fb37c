#include "experiment/validation.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace ebb::experiment {
namespace {

using model::LayerClass;
using testing::HasSubstr;

// Text without repeats, each token likely: perplexity `perplexity`.
TurnRecord turn(int number, double before, double after, double perplexity = 4.0) {
  TurnRecord out;
  out.turn = number;
  out.cells_before = before;
  out.cells_after = after;
  out.layers = {{0, LayerClass::kGlobal, {before, before, before}, {after, after, after}}};
  for (int i = 0; i < 30; ++i) out.reply_ids.push_back(i);
  out.reply_nll.assign(30, std::log(perplexity));
  return out;
}

ArmRecord arm(ArmKind kind, std::vector<TurnRecord> turns) {
  const char* name = kind == ArmKind::kBaseline    ? "baseline"
                     : kind == ArmKind::kStreaming ? "streaming"
                                                   : "random";
  return {name, kind, "original", {{"c1", std::move(turns)}}};
}

ArmRecord full() { return arm(ArmKind::kBaseline, {turn(1, 200, 200), turn(2, 500, 500)}); }

TEST(ValidationMemory, ComparesTheMeasuredPeakWithTheLimit) {
  MemoryRecord memory{100, 20, 30, 160, 150, 1000};
  EXPECT_EQ(judge_memory(memory).verdict, Verdict::kPass);
  memory.measured_peak = 1001;
  EXPECT_EQ(judge_memory(memory).verdict, Verdict::kFail);
  memory.measured_peak = 0;
  EXPECT_EQ(judge_memory(memory).verdict, Verdict::kNotAssessable);
}

TEST(ValidationMemory, NamesPredictedAndMeasuredPeakWeightsCacheAndActivations) {
  constexpr uint64_t kGib = uint64_t{1} << 30;
  const Criterion c = judge_memory({4 * kGib, kGib, 2 * kGib, 8 * kGib, 6 * kGib, 24 * kGib});
  EXPECT_THAT(c.detail, HasSubstr("peak 6.00 GiB measured, 8.00 GiB predicted (-25.0 %)"));
  EXPECT_THAT(c.detail, HasSubstr("weights 4.00, cache 1.000, activations 2.00 GiB"));
}

TEST(ValidationAccess, NeedsFiniteNumbersAndACacheThatShrank) {
  const CacheProbe good{30, 3, 64, 1000, 0, 900, 400, 5000, 3000};
  EXPECT_EQ(judge_access(good).verdict, Verdict::kPass);
  EXPECT_EQ(judge_access(std::nullopt).verdict, Verdict::kNotAssessable);
  CacheProbe bad = good;
  bad.n_values_not_finite = 1;
  EXPECT_EQ(judge_access(bad).verdict, Verdict::kFail);
  bad = good;
  bad.n_values_read = 0;
  EXPECT_EQ(judge_access(bad).verdict, Verdict::kFail);
  bad = good;
  bad.cells_after = bad.cells_before;
  EXPECT_EQ(judge_access(bad).verdict, Verdict::kFail);
  bad = good;
  bad.bytes_after = bad.bytes_before;
  EXPECT_EQ(judge_access(bad).verdict, Verdict::kFail) << "cells went, memory did not";
}

TEST(ValidationGrowth, WantsMoreCellsEachTurnAndNothingEvicted) {
  EXPECT_EQ(judge_growth(full()).verdict, Verdict::kPass);
  EXPECT_THAT(judge_growth(full()).detail, HasSubstr("200 -> 500"));
  EXPECT_EQ(judge_growth(arm(ArmKind::kBaseline, {turn(1, 200, 200), turn(2, 200, 200)})).verdict,
            Verdict::kFail);
  EXPECT_EQ(judge_growth(arm(ArmKind::kBaseline, {turn(1, 200, 200), turn(2, 500, 400)})).verdict,
            Verdict::kFail);
  EXPECT_EQ(judge_growth(arm(ArmKind::kBaseline, {turn(1, 200, 200)})).verdict,
            Verdict::kNotAssessable);
}

TEST(ValidationStreaming, StaysAtTheSumOnceLonger) {
  const auto judged = [](double before, double after) {
    return judge_streaming(arm(ArmKind::kStreaming, {turn(1, 80, 80), turn(2, before, after)}), 50,
                           50)
        .verdict;
  };
  EXPECT_EQ(judged(300, 100), Verdict::kPass);
  EXPECT_EQ(judged(300, 101), Verdict::kFail);
  EXPECT_EQ(judged(300, 99), Verdict::kFail);
  EXPECT_EQ(judged(101, 100), Verdict::kPass);
  EXPECT_EQ(judged(100, 100), Verdict::kNotAssessable) << "untouched while not longer";
  EXPECT_EQ(judged(90, 80), Verdict::kFail) << "evicted although short";
}

TEST(ValidationStreaming, LooksAtEveryLayerAndAtTheLeastAndFullestHead) {
  ArmRecord record = arm(ArmKind::kStreaming, {turn(1, 300, 100)});
  auto& layers = record.conversations[0].turns[0].layers;
  layers.push_back({1, LayerClass::kSliding, {300, 300, 300}, {60, 60, 60}});
  EXPECT_EQ(judge_streaming(record, 50, 50).verdict, Verdict::kPass) << "the window may take more";
  layers.push_back({2, LayerClass::kGlobal, {300, 300, 300}, {100, 105, 110}});
  const Criterion c = judge_streaming(record, 50, 50);
  EXPECT_EQ(c.verdict, Verdict::kFail);
  EXPECT_THAT(c.detail, HasSubstr("layer 2: found 110 of 300 cells, expected 100"));
}

TEST(ValidationRandom, KeepsTheExactFloorOfWhatWasThere) {
  const auto judged = [](double before, double after, const char* rate) {
    return judge_random(arm(ArmKind::kRandom, {turn(1, before, after)}), Ratio::parse(rate))
        .verdict;
  };
  EXPECT_EQ(judged(301, 150, "0.5"), Verdict::kPass);
  EXPECT_EQ(judged(301, 151, "0.5"), Verdict::kFail);
  EXPECT_EQ(judged(100, 29, "0.29"), Verdict::kPass);
  EXPECT_EQ(judged(100, 28, "0.29"), Verdict::kFail) << "what doubles would give";
  EXPECT_EQ(judged(3, 1, "0.1"), Verdict::kPass) << "at least one cell";
  EXPECT_EQ(judged(3, 0, "0.1"), Verdict::kFail);
  EXPECT_EQ(judged(0, 0, "0.5"), Verdict::kNotAssessable);
  EXPECT_EQ(judged(300, 300, "1"), Verdict::kNotAssessable);
}

TEST(ValidationHalf, PassesInsideTheBandAndSaysWhyNotOutside) {
  const auto judged = [](ArmKind kind, double first, double last) {
    return judge_half(arm(kind, {turn(1, first, first), turn(2, last, last)}), full());
  };
  EXPECT_EQ(judged(ArmKind::kRandom, 100, 250).verdict, Verdict::kPass);
  EXPECT_EQ(judged(ArmKind::kRandom, 100, 175).verdict, Verdict::kPass);
  EXPECT_EQ(judged(ArmKind::kRandom, 100, 330).verdict, Verdict::kFail);
  const Criterion random = judged(ArmKind::kRandom, 100, 174);
  EXPECT_EQ(random.verdict, Verdict::kFail);
  EXPECT_THAT(random.detail, HasSubstr("compounds"));
  const Criterion streaming = judged(ArmKind::kStreaming, 100, 100);
  EXPECT_EQ(streaming.verdict, Verdict::kFail);
  EXPECT_THAT(streaming.detail, HasSubstr("20 % of the baseline's cells at the end"));
  EXPECT_THAT(streaming.detail, HasSubstr("50 % after turn 1, 20 % after turn 2"));
  EXPECT_THAT(streaming.detail, HasSubstr("fixed number"));
}

TEST(ValidationHalf, NeedsABaselineTurnToCompareWith) {
  ArmRecord other = arm(ArmKind::kRandom, {turn(1, 100, 100)});
  other.conversations[0].id = "another";
  EXPECT_EQ(judge_half(other, full()).verdict, Verdict::kNotAssessable);
}

ArmRecord spoken(ArmKind kind, const std::vector<int32_t>& ids, double perplexity) {
  ArmRecord out = arm(kind, {turn(1, 100, 100)});
  out.conversations[0].turns[0].reply_ids = ids;
  out.conversations[0].turns[0].reply_nll.assign(ids.size(), std::log(perplexity));
  return out;
}

std::vector<int32_t> words(int32_t n_different, int32_t n_repeats) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < n_different; ++i) ids.push_back(i);
  ids.insert(ids.end(), static_cast<size_t>(n_repeats), -1);
  return ids;
}

Verdict coherence(const std::vector<int32_t>& ids, double perplexity,
                  const std::vector<int32_t>& baseline_ids) {
  return judge_coherence(spoken(ArmKind::kRandom, ids, perplexity),
                         spoken(ArmKind::kBaseline, baseline_ids, 4.0))
      .verdict;
}

TEST(ValidationCoherence, ComparesRepeatsAndPerplexityWithTheBaseline) {
  const auto plain = words(100, 0);
  EXPECT_EQ(coherence(plain, 4.0, plain), Verdict::kPass);
  EXPECT_EQ(coherence(plain, 7.9, plain), Verdict::kPass);
  EXPECT_EQ(coherence(plain, 8.1, plain), Verdict::kFail);
  EXPECT_EQ(coherence(plain, 2.1, plain), Verdict::kPass);
  EXPECT_EQ(coherence(plain, 1.9, plain), Verdict::kFail);
  EXPECT_EQ(coherence(words(85, 15), 4.0, plain), Verdict::kPass);
  EXPECT_EQ(coherence(words(60, 40), 4.0, plain), Verdict::kFail);
}

TEST(ValidationCoherence, ADegenerateBaselineIsNotAssessableAndNeverPassed) {
  EXPECT_EQ(coherence(words(100, 0), 4.0, words(20, 80)), Verdict::kNotAssessable);
  EXPECT_EQ(coherence(words(20, 80), 4.0, words(20, 80)), Verdict::kNotAssessable);
}

TEST(ValidationCoherence, NeedsTextAndLikelihoods) {
  const auto plain = words(100, 0);
  EXPECT_EQ(coherence({}, 4.0, plain), Verdict::kFail) << "an arm that fell silent";
  EXPECT_EQ(coherence(words(5, 0), 4.0, plain), Verdict::kNotAssessable);
  EXPECT_EQ(coherence(plain, 4.0, {}), Verdict::kNotAssessable);
  ArmRecord no_likelihoods = spoken(ArmKind::kRandom, plain, 4.0);
  no_likelihoods.conversations[0].turns[0].reply_nll.clear();
  EXPECT_EQ(judge_coherence(no_likelihoods, spoken(ArmKind::kBaseline, plain, 4.0)).verdict,
            Verdict::kNotAssessable);
}

TEST(ValidationCoherence, NumbersThatAreNoNumbersFail) {
  EXPECT_EQ(coherence(words(100, 0), std::numeric_limits<double>::quiet_NaN(), words(100, 0)),
            Verdict::kFail);
  EXPECT_EQ(coherence(words(100, 0), std::numeric_limits<double>::infinity(), words(100, 0)),
            Verdict::kFail);
}

TEST(ValidationExamples, WantsTwoConversationsAndTheSameTurnsInEveryArm) {
  ArmRecord two = full();
  two.conversations.push_back(two.conversations[0]);
  two.conversations[1].id = "c2";
  EXPECT_EQ(judge_examples({two, two}).verdict, Verdict::kPass);
  EXPECT_EQ(judge_examples({full(), full()}).verdict, Verdict::kFail);
  EXPECT_EQ(judge_examples({two, full()}).verdict, Verdict::kFail);
  EXPECT_EQ(judge_examples({}).verdict, Verdict::kFail);
  ArmRecord cut = two;
  cut.conversations[1].turns.pop_back();
  EXPECT_EQ(judge_examples({two, cut}).verdict, Verdict::kFail);
}

ValidationInput three_arms() {
  ValidationInput input;
  input.model = "tiny.gguf";
  input.memory = {100, 20, 30, 160, 150, 1000};
  input.arms = {full(), arm(ArmKind::kStreaming, {turn(1, 200, 100), turn(2, 400, 100)}),
                arm(ArmKind::kRandom, {turn(1, 200, 100), turn(2, 400, 200)})};
  return input;
}

TEST(Validation, JudgesEveryCriterionOfThePlanInOrder) {
  std::vector<std::string> names;
  for (const Criterion& criterion : judge(three_arms())) {
    names.push_back(criterion.name);
    EXPECT_FALSE(criterion.detail.empty()) << criterion.name;
  }
  EXPECT_THAT(
      names, testing::ElementsAre(
                 "the model fits", "the cache can be read and changed",
                 "the baseline's cache grows with every turn",
                 "streaming stays at keep_initial + keep_recent",
                 "random keeps its rate of what was there", "about 50 % of the baseline: streaming",
                 "about 50 % of the baseline: random", "replies stay coherent: streaming",
                 "replies stay coherent: random", "2 to 3 examples ran in every arm"));
}

TEST(Validation, WritesTheJsonThatReadersRelyOn) {
  ValidationInput input = three_arms();
  input.arms[0].conversations[0].turns[0].reply = "cut inside a character: \xe4\xbd";
  input.arms[0].conversations[0].turns[0].cells_after = 99.5;
  const auto json = nlohmann::json::parse(to_json(input, judge(input)));
  EXPECT_EQ(json["model"], "tiny.gguf");
  ASSERT_EQ(json["arms"].size(), 3U);
  EXPECT_EQ(json["arms"][1]["arm"], "streaming");
  EXPECT_EQ(json["arms"][1]["positions"], "original");
  const auto& first = json["arms"][0]["conversations"][0];
  EXPECT_EQ(first["id"], "c1");
  for (const char* field : {"turn", "prompt_tokens", "generated_tokens", "cells_before",
                            "cells_after", "bytes_after", "reply"}) {
    EXPECT_TRUE(first["turns"][0].contains(field)) << field;
  }
  EXPECT_EQ(first["turns"][0]["cells_after"], 99.5);
  EXPECT_TRUE(first["turns"][1]["cells_after"].is_number_integer());
  EXPECT_EQ(first["turns"][1]["layers"][0]["cells_after"]["max"], 500);
  EXPECT_EQ(first["turns"][1]["layers"][0]["layer_class"], "global");
  EXPECT_EQ(json["criteria"][0]["verdict"], "pass");
  EXPECT_EQ(json["criteria"][1]["verdict"], "not_assessable");
  EXPECT_EQ(json["criteria"][5]["verdict"], "fail");
}

}  // namespace
}  // namespace ebb::experiment
