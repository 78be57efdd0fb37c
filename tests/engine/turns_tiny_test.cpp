// Sessions on tiny models: what a turn leaves in the cache, when treatments act, what they leave.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/session.h"
#include "policy/treatment_text.h"
#include "session_fixture.h"

namespace ebb::engine {
namespace {

constexpr int kNewMax = 12;

void talk(Stage& stage, Session& session, int n_turns, const std::function<void()>& on_step = {}) {
  for (int turn = 0; turn < n_turns; ++turn) {
    session.begin_turn(say("The old mill stands by the river, and nobody knows who owns it."),
                       kNewMax);
    Session* one = &session;
    run_until_idle(stage.engine, std::span(&one, 1), on_step);
  }
}

TEST(Turns, PromptReplyAndClosingAreAllInTheCache) {
  Stage stage("llama-f32");
  const auto session_owner = stage.session("none");
  Session& session = *session_owner;
  talk(stage, session, 2);
  size_t n_expected = 0;
  for (const TurnRecord& turn : session.turns()) {
    // The reply, its end token where the model gave one, and what closes the turn.
    n_expected += static_cast<size_t>(turn.n_prompt_tokens) + turn.reply_ids.size();
  }
  const std::vector<int32_t>& ids = session.sequence().ids();
  EXPECT_GT(ids.size(), n_expected);
  EXPECT_EQ(session.sequence().cells().head(0, 0).n_cells(), ids.size());
  const std::vector<int32_t> closing =
      stage.tokenizer->encode(stage.format.assistant.suffix, model::ParseSpecial::kYes);
  EXPECT_TRUE(std::equal(closing.rbegin(), closing.rend(), ids.rbegin()));
  const TurnRecord& first = session.turns().front();
  EXPECT_EQ(first.reply_ids.front(), ids[first.reply_begin.value]);
}

TEST(Turns, StreamingStaysAtItsSumAndRandomKeepsItsRate) {
  Stage stage("llama-f32");
  const auto streaming_owner =
      stage.session("streaming", {{"keep_initial", "7"}, {"keep_recent", "9"}});
  Session& streaming = *streaming_owner;
  const auto random_owner = stage.session("random", {{"retention_rate", "0.29"}});
  Session& random = *random_owner;
  talk(stage, streaming, 3);
  talk(stage, random, 3);
  for (size_t turn = 0; turn < 3; ++turn) {
    for (size_t layer = 0; layer < 2; ++layer) {
      const LayerCells& s = streaming.turns()[turn].layers[layer];
      EXPECT_EQ(s.after.n_min, 16U);
      EXPECT_EQ(s.after.n_max, 16U);
      const LayerCells& r = random.turns()[turn].layers[layer];
      EXPECT_EQ(r.after.n_min,
                static_cast<uint32_t>(Ratio::parse("0.29").floor_of(r.before.n_min)));
      EXPECT_EQ(r.after.n_max, r.after.n_min);
    }
  }
  EXPECT_GT(streaming.turns()[1].events.back().loss.n_by_treatment, 0U);
}

TEST(Turns, AFullPolicyInThePathIsTheBaselineBitForBit) {
  Stage stage("gemma3-f32");
  const auto plain_owner = stage.session("none");
  Session& plain = *plain_owner;
  const auto policy_owner = stage.session("knorm", {{"budget", "100000"}});
  Session& policy = *policy_owner;
  talk(stage, plain, 2);
  talk(stage, policy, 2);
  EXPECT_EQ(plain.sequence().ids(), policy.sequence().ids());
  Engine::HeadContent a;
  Engine::HeadContent b;
  stage.engine.read_head(plain.sequence(), 1, 0, a);
  stage.engine.read_head(policy.sequence(), 1, 0, b);
  EXPECT_EQ(a.keys, b.keys);
  EXPECT_EQ(a.values, b.values);
}

TEST(Turns, SessionsInOneBatchDoAsAlone) {
  Stage stage("qwen2-f32");
  const std::pair<const char*, policy::ParamMap> arms[] = {
      {"none", {}},
      {"streaming", {{"keep_initial", "4"}, {"keep_recent", "8"}}},
      {"snapkv", {{"budget", "20"}, {"window", "4"}}},
      {"h2o", {{"budget", "20"}}}};
  std::vector<std::unique_ptr<Session>> together;
  for (const auto& [name, params] : arms) together.push_back(stage.session(name, params));
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<Session*> all;
    for (const auto& session : together) {
      session->begin_turn(say("The old mill stands by the river, and nobody knows who owns it."),
                          kNewMax);
      all.push_back(session.get());
    }
    run_until_idle(stage.engine, all);
  }
  for (size_t i = 0; i < std::size(arms); ++i) {
    const auto alone_owner = stage.session(arms[i].first, arms[i].second);
    Session& alone = *alone_owner;
    talk(stage, alone, 2);
    EXPECT_EQ(alone.sequence().ids(), together[i]->sequence().ids()) << arms[i].first;
    if (i == 0) continue;  // the baseline has no events
    EXPECT_EQ(alone.turns().back().events.back().kept,
              together[i]->turns().back().events.back().kept)
        << arms[i].first;
    EXPECT_GT(alone.turns().back().events.back().loss.n_by_treatment, 0U) << arms[i].first;
  }
}

TEST(Triggers, ACapHoldsAtEveryStepOfAReply) {
  Stage stage("llama-f32");
  const auto session_owner = stage.session(
      "streaming",
      {{"keep_initial", "2"}, {"budget", "24"}, {"trigger", "prompt_end,cap,turn_end"}});
  Session& session = *session_owner;
  uint32_t n_most = 0;
  talk(stage, session, 2, [&] {
    const auto& cells = session.sequence().cells();
    // While the prompt is computed the cache may be longer; the cap is for decoding.
    if (!session.is_idle() && session.turns().back().reply_begin.value > 0 &&
        cells.next_ordinal() > session.turns().back().reply_begin) {
      n_most = std::max(n_most, cells.count(0).n_max);
    }
  });
  EXPECT_EQ(n_most, 24U);
}

// A recorded reply meets the same events as the same tokens forced one by one.
TEST(Triggers, BetweenRecordedReplyTokensHappensWhatHappensBetweenGeneratedOnes) {
  const std::string reply = "Nobody owns it, they say, but the miller's daughter has the key.";
  for (const policy::ParamMap& params :
       {policy::ParamMap{{"budget", "20"}, {"trigger", "cap"}},
        policy::ParamMap{{"budget", "20"}, {"trigger", "every_n:3"}}}) {
    Stage stage("llama-f32");
    const auto recorded = stage.session("tova", params);
    const auto forced = stage.session("tova", params);
    std::vector<uint64_t> sizes;
    Session* one = recorded.get();
    recorded->begin_recorded_turn(say("The old mill stands by the river."), reply);
    run_until_idle(stage.engine, std::span(&one, 1),
                   [&] { sizes.push_back(recorded->sequence().cells().head(0, 0).n_cells()); });
    const std::vector<int32_t> ids = recorded->turns().back().reply_ids;
    ASSERT_GT(ids.size(), 6U);
    EXPECT_TRUE(recorded->turns().back().generated_ids.empty());
    EXPECT_EQ(recorded->turns().back().stop, StopReason::kRecorded);
    EXPECT_GE(sizes.size(), ids.size());
    one = forced.get();
    forced->begin_forced_turn(say("The old mill stands by the river."), ids);
    run_until_idle(stage.engine, std::span(&one, 1));
    EXPECT_EQ(recorded->sequence().ids(), forced->sequence().ids());
    ASSERT_EQ(recorded->turns().back().events.size(), forced->turns().back().events.size());
    for (size_t i = 0; i < forced->turns().back().events.size(); ++i) {
      const EventRecord& a = recorded->turns().back().events[i];
      const EventRecord& b = forced->turns().back().events[i];
      EXPECT_EQ(a.n_cells_after, b.n_cells_after) << i;
      EXPECT_EQ(a.kept, b.kept) << i;
    }
    if (params.at("trigger") != "cap") continue;
    // From the first reply token on, a head holds as much as it may, at every step but the last.
    for (size_t i = 1; i + 1 < sizes.size(); ++i) EXPECT_EQ(sizes[i], 20U) << i;
  }
}

TEST(Triggers, EveryNAndPromptEndActWhenTheySay) {
  Stage stage("llama-f32");
  const auto every_owner = stage.session("knorm", {{"budget", "10"}, {"trigger", "every_n:5"}});
  Session& every = *every_owner;
  talk(stage, every, 1);
  for (const EventRecord& event : every.turns()[0].events) {
    EXPECT_EQ(event.kind, policy::EventKind::kEveryN);
    EXPECT_EQ((event.n_logical - every.turns()[0].reply_begin.value) % 5, 0);
  }
  EXPECT_GE(every.turns()[0].events.size(), every.turns()[0].reply_ids.size() / 5);
  const auto prompt_owner = stage.session("knorm", {{"budget", "10"}, {"trigger", "prompt_end"}});
  Session& prompt = *prompt_owner;
  talk(stage, prompt, 1);
  ASSERT_EQ(prompt.turns()[0].events.size(), 1U);
  EXPECT_EQ(prompt.turns()[0].events[0].n_logical, prompt.turns()[0].n_prompt_tokens);
  // The first reply token comes from the whole prompt: the same as the baseline's.
  const auto plain_owner = stage.session("none");
  Session& plain = *plain_owner;
  talk(stage, plain, 1);
  EXPECT_EQ(prompt.turns()[0].reply_ids.front(), plain.turns()[0].reply_ids.front());
}

TEST(Triggers, LaterBlocksOfAPromptSeeTheEvictedCache) {
  Stage stage("llama-f32");
  const auto session_owner = stage.session(
      "streaming", {{"keep_initial", "3"}, {"budget", "12"}, {"trigger", "prompt_block:16"}});
  Session& session = *session_owner;
  talk(stage, session, 1);
  const std::vector<int32_t>& ids = session.sequence().ids();
  const auto n_prompt = static_cast<size_t>(session.turns()[0].n_prompt_tokens);
  Sequence by_hand = stage.engine.make_sequence(PositionMode::kOriginal);
  std::vector<float> logits;
  for (size_t at = 0; at < n_prompt; at += 16) {
    const size_t n = std::min<size_t>(16, n_prompt - at);
    logits = run_all(stage.engine, by_hand, std::span(ids).subspan(at, n));
    if (at + n == n_prompt) break;
    policy::EvictionPlan plan;
    for (int layer = 0; layer < stage.engine.config().n_layers; ++layer) {
      plan.kept.emplace_back();
      for (int head = 0; head < stage.engine.config().n_kv_heads; ++head) {
        auto& kept = plan.kept.back().emplace_back();
        const uint32_t n_cells = by_hand.cells().head(layer, head).n_cells();
        for (uint32_t i = 0; i < n_cells; ++i) {
          if (n_cells <= 12 || i < 3 || i + 9 >= n_cells) kept.push_back(i);
        }
      }
    }
    stage.engine.evict(by_hand, plan);
  }
  const auto n_vocab = static_cast<size_t>(stage.engine.config().n_vocab);
  const std::span last = std::span<const float>(logits).last(n_vocab);
  const auto best = std::max_element(last.begin(), last.end()) - last.begin();
  EXPECT_EQ(session.turns()[0].reply_ids.front(), best);
  EXPECT_FALSE(session.turns()[0].events.empty());
}

class EveryPolicy : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryPolicy, testing::ValuesIn(every_treatment_name()),
                         [](const auto& param) { return param.param; });

// Three real turns with every signal coming from the engine: no policy may find a hole in them.
TEST_P(EveryPolicy, RunsThroughThreeTurnsOnTwoArchitectures) {
  for (const char* name : {"llama-f32", "gemma3-f32"}) {
    Stage stage(name);
    std::unique_ptr<Session> session;
    try {
      session = stage.session(GetParam(), {{"budget", "60"}});
    } catch (const Error&) {
      session = stage.session(GetParam());  // a method whose own parameters are its budget
    }
    talk(stage, *session, 3);
    EXPECT_EQ(session->turns().size(), 3U);
    for (int layer = 0; layer < stage.engine.config().n_layers; ++layer) {
      EXPECT_GT(session->sequence().cells().count(layer).n_total, 0U) << name << " layer " << layer;
    }
  }
}

}  // namespace
}  // namespace ebb::engine
