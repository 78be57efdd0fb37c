// Which cells stay on a real model, against kvpress on Hugging Face float32: model, signals, policy
// and allocator together (tests/fixtures/policy/end_to_end). Longer texts, the F32 file and the
// other numerics are in docs/policy-agreement.md; a policy's formula alone is tested in
// tests/policy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <memory>

#include "engine/cache_source.h"
#include "engine_fixture.h"
#include "policy/evictor.h"
#include "policy/treatment_text.h"

namespace ebb::engine {
namespace {

// Cells near the threshold may change places by rounding alone.
constexpr double kLeastAgreement = 0.995;
// Another method's set must be told apart clearly.
constexpr double kMostAgreementOfOthers = 0.9;
// Expected attention's sinks, which stay out of its statistics.
constexpr int kSkipped = 4;
constexpr const char* kFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

std::filesystem::path model_path() {
  if (const char* folder = std::getenv("EBB_MODELS"); folder != nullptr && *folder != 0) {
    return std::filesystem::path(folder) / kFile;
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "." : home) / ".cache/ebb/models" / kFile;
}

using Bitmap = std::vector<uint8_t>;

Bitmap from_hex(const std::string& text) {
  Bitmap out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return out;
}

int count_common(const Bitmap& a, const Bitmap& b) {
  int n = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    n += std::popcount(static_cast<uint8_t>(a[i] & b[i]));
  }
  return n;
}

Bitmap bitmap_of(const std::vector<uint32_t>& cells, size_t n_bytes) {
  Bitmap out(n_bytes, 0);
  for (const uint32_t i : cells) out[i / 8] = static_cast<uint8_t>(out[i / 8] | (1U << (i % 8)));
  return out;
}

// Intersection over the larger of the two sets, over all layers and heads. Of the cells that tie
// exactly at the golden's last place any may stay.
double agreement(const nlohmann::json& golden, const policy::EvictionPlan& plan) {
  int n_common = 0;
  int n_largest = 0;
  EXPECT_EQ(golden["kept"].size(), plan.kept.size());
  for (size_t layer = 0; layer < plan.kept.size(); ++layer) {
    EXPECT_EQ(golden["kept"][layer].size(), plan.kept[layer].size());
    for (size_t head = 0; head < plan.kept[layer].size(); ++head) {
      const Bitmap kept = from_hex(golden["kept"][layer][head]);
      const Bitmap mine = bitmap_of(plan.kept[layer][head], kept.size());
      Bitmap ties(kept.size(), 0);
      if (golden.contains("ties")) ties = from_hex(golden["ties"][layer][head]);
      Bitmap sure = kept;
      for (size_t i = 0; i < sure.size(); ++i) sure[i] = static_cast<uint8_t>(sure[i] & ~ties[i]);
      const int budget = count_common(kept, kept);
      n_common += count_common(sure, mine) +
                  std::min(count_common(ties, mine), budget - count_common(sure, sure));
      n_largest += std::max(budget, count_common(mine, mine));
    }
  }
  return static_cast<double>(n_common) / n_largest;
}

class KvpressEndToEnd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(model_path())) return;
    engine_ = std::make_unique<Engine>(model::Model::load(model_path()),
                                       with_numerics(Numerics::kReference));
  }
  static void TearDownTestSuite() {
    sequences_.clear();
    engine_.reset();
  }

  void SetUp() override {
    if (engine_ == nullptr) GTEST_SKIP() << "no " << model_path() << "; ./dev setup gets it";
    golden_ = read_json(fixture("policy/end_to_end/smollm2.json"));
    ids_ = golden_["ids"].get<std::vector<int32_t>>();
  }

  // A sequence that holds the golden's tokens. One for every window, with all other signals on:
  // gathered together they must be what they are alone, and the prompt is run three times only.
  const Sequence& prompted(const policy::Needs& wanted) const {
    const policy::Needs needs{.attention_sum = true,
                              .attention_window = std::max(1, wanted.attention_window),
                              .query_moments = true,
                              .moments_skip_first = kSkipped};
    EXPECT_TRUE(!wanted.query_moments || wanted.moments_skip_first == kSkipped);
    const auto [at, is_new] = sequences_.try_emplace(
        needs.attention_window, engine_->make_sequence(PositionMode::kOriginal, needs));
    if (is_new) {
      const StepItem prompt{&at->second, ids_, {}, LogitRows::kNone};
      engine_->step(std::span(&prompt, 1));
    }
    return at->second;
  }

  policy::EvictionPlan plan_of_policy(const std::string& name, const nlohmann::json& budget) const {
    auto settings = budget["settings"].get<policy::ParamMap>();
    settings["budget"] = std::to_string(budget["keep"].get<int>());
    policy::Evictor evictor(policy::make_treatment(name, settings), engine_->cache_shape(), 0, "");
    const Sequence& sequence = prompted(evictor.needs());
    EngineCacheSource source(*engine_, sequence, evictor.needs());
    const policy::SpanInfo span{Role::kContent, 0, ""};
    policy::EventInfo event;
    event.n_logical = static_cast<int64_t>(ids_.size());
    event.n_prompt = event.n_logical;
    event.spans = std::span(&span, 1);
    policy::EvictionPlan plan = evictor.plan(source, event);
    EXPECT_THAT(plan.notices, testing::IsEmpty()) << name;
    return plan;
  }

  static std::unique_ptr<Engine> engine_;
  static std::map<int, Sequence> sequences_;  // by window
  nlohmann::json golden_;
  std::vector<int32_t> ids_;
};

std::unique_ptr<Engine> KvpressEndToEnd::engine_;
std::map<int, Sequence> KvpressEndToEnd::sequences_;

TEST_F(KvpressEndToEnd, EveryPolicyKeepsTheCellsThatKvpressKeeps) {
  int n_checked = 0;
  double lowest = 1.0;
  for (const nlohmann::json& one : golden_["cases"]) {
    for (const nlohmann::json& budget : one["budgets"]) {
      const double same = agreement(budget, plan_of_policy(one["policy"], budget));
      const std::string where = one["title"].get<std::string>() + ", " + budget["keep"].dump();
      lowest = std::min(lowest, same);
      EXPECT_GE(same, kLeastAgreement) << where;
      ++n_checked;
    }
  }
  EXPECT_GE(n_checked, 20);
  RecordProperty("lowest_agreement", std::to_string(lowest));
}

TEST_F(KvpressEndToEnd, TheGoldensTellPoliciesApart) {
  const policy::EvictionPlan knorm =
      plan_of_policy("knorm", {{"keep", 40}, {"settings", nlohmann::json::object()}});
  for (const nlohmann::json& one : golden_["cases"]) {
    for (const nlohmann::json& budget : one["budgets"]) {
      if (budget["keep"] != 40 || one["policy"] == "knorm") continue;
      EXPECT_LT(agreement(budget, knorm), kMostAgreementOfOthers) << one["title"];
    }
  }
}

}  // namespace
}  // namespace ebb::engine
