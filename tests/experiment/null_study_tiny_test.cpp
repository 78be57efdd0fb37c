// The whole path from cells to a p-value under a true null hypothesis: random eviction with one
// seed against random eviction with another. That an effect which is there is found is shown in
// tests/stats/calibration_test.cpp.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>

#include "engine/session_fixture.h"
#include "eval/scoring.h"
#include "experiment/conversation_record.h"
#include "experiment/study_run.h"
#include "stats/distributions.h"
#include "stats/permutation.h"

namespace ebb::experiment {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRepetitions = 200;
constexpr size_t kConversations = 10;
constexpr double kAlpha = 0.05;

// Seeds 2r and 2r + 1 are the two arms of repetition r.
constexpr const char* kStudy = R"(
name = "null"
seeds = 400
history = "recorded"
[measures]
generate = false
fidelity = false
recall = true
cache_maps = 0
[statistics]
primary = "recall"
[[arms]]
name = "baseline"
kind = "baseline"
n_seeds = 1
[[arms]]
name = "random"
treatment = "random"
granularity = "token"
share = "0.5"
)";

ConversationSet made_conversations() {
  constexpr std::array<const char*, kConversations> kThings = {
      "soup", "snails", "trains", "paper", "rain", "music", "bread", "chess", "wool", "tides"};
  std::string json = "[";
  for (const char* thing : kThings) {
    json += fmt::format(
        R"({}{{"id": "about-{}", "turns": [
          {{"turn_id": 1, "role": "user", "instruction": "Always name the {} twice in a reply.",
            "content": "Today it is about {}."}},
          {{"turn_id": 2, "role": "assistant", "content": "Then let us begin."}},
          {{"turn_id": 3, "role": "user", "query": "What do you know?"}}]}})",
        json.size() > 1 ? "," : "", thing, thing, thing);
  }
  return parse_conversations(json + "]", "made");
}

// recall[arm][seed][conversation]
using Recalls = std::map<std::string, std::map<uint64_t, std::vector<double>>>;

Recalls run_study_of_nulls(const std::string& model) {
  engine::EngineOptions options = engine::with_numerics(engine::Numerics::kStrict);
  options.n_threads = 1;  // of so small a model every step would be waiting for the other thread
  engine::Stage stage(model, options);
  const ConversationSet data = made_conversations();
  const Study study = parse_study(kStudy, "test");
  StudyContext context;
  context.study = &study;
  context.engine = &stage.engine;
  context.tokenizer = stage.tokenizer;
  context.format = stage.format;
  context.key = "null";
  const fs::path folder = fs::temp_directory_path() / ("ebb-null-" + std::to_string(getpid()));
  Recalls out;
  {
    auto store = record::StudyStore::open_for_writing(folder);
    std::vector<record::ConversationText> texts;
    for (const Conversation& c : data.conversations) texts.push_back(to_record(c));
    const record::StudyInfo info = info_of(study, stage.engine, data, "model");
    store.begin(info, texts, to_toml(study));
    run_study(context, data.conversations, store, {}, {});
    for (const auto& one : eval::score_units(info, texts, store.units(), nullptr).units) {
      if (one.endpoint == "recall") out[one.arm][one.seed].push_back(one.score);
    }
  }
  fs::remove_all(folder);
  return out;
}

double p_between(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), kConversations);
  EXPECT_EQ(b.size(), kConversations);
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return stats::paired_permutation(differences).p.value_or(1);
}

class NullStudy : public ::testing::TestWithParam<std::string> {};

TEST_P(NullStudy, TwoSeedsOfChanceDifferAsOftenAsAlphaSays) {
  const Recalls recalls = run_study_of_nulls(GetParam());
  const auto& random = recalls.at("random");
  ASSERT_EQ(random.size(), 2 * kRepetitions);
  size_t n_rejected = 0;
  for (uint64_t r = 0; r < kRepetitions; ++r) {
    n_rejected += p_between(random.at(2 * r), random.at(2 * r + 1)) <= kAlpha ? 1 : 0;
  }
  // 2^10 signs, two sides: the test can reject at 50 of 1024 at most.
  const double chance = 50.0 / 1024;
  EXPECT_GT(stats::binomial_cdf(n_rejected, kRepetitions, chance), 0.0005) << n_rejected;
  EXPECT_LT(stats::binomial_cdf(n_rejected, kRepetitions, chance), 0.9995) << n_rejected;
  std::printf("%zu of %zu repetitions rejected at %.2f\n", n_rejected, kRepetitions, kAlpha);
}

INSTANTIATE_TEST_SUITE_P(Models, NullStudy, ::testing::Values("llama-f32"),
                         [](const auto&) { return std::string("llama_f32"); });

}  // namespace
}  // namespace ebb::experiment
