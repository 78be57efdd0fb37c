// Whole studies on tiny models: what is shared, how lanes are batched, where a run was stopped and
// how it was cut into shards must not show in a record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "engine/session_fixture.h"
#include "experiment/conversation_record.h"
#include "experiment/study_memory.h"
#include "experiment/study_plan.h"
#include "experiment/study_run.h"
#include "experiment/tiny_study.h"
#include "experiment/unit_id.h"

namespace ebb::experiment {
namespace {

namespace fs = std::filesystem;

// Where two lists of records differ first, in a few words: whole records are pages long.
std::string difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.size() != b.size()) return std::to_string(a.size()) + " and " + std::to_string(b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const auto at = std::mismatch(a[i].begin(), a[i].end(), b[i].begin(), b[i].end()).first;
    const size_t from = std::max<size_t>(static_cast<size_t>(at - a[i].begin()), 60) - 60;
    return a[i].substr(0, 90) + " ... " + a[i].substr(from, 120) + " | " + b[i].substr(from, 120);
  }
  return "";
}

class StudyRun : public ::testing::TestWithParam<std::string> {
 protected:
  StudyRun()
      : stage_(GetParam()),
        data_(parse_conversations(kConversations, "test.json")),
        folder_(fs::temp_directory_path() / ("ebb-study-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    set_history("recorded");
  }
  ~StudyRun() override { fs::remove_all(folder_); }

  void set_history(const std::string& history) {
    study_ = parse_study(study_text(history), "test");
    context_.study = &study_;
    context_.engine = &stage_.engine;
    context_.tokenizer = stage_.tokenizer;
    context_.format = stage_.format;
    context_.key = "test";
  }

  record::StudyStore open(const std::string& name) {
    auto store = record::StudyStore::open_for_writing(folder_ / name);
    std::vector<record::ConversationText> texts;
    for (const Conversation& c : data_.conversations) texts.push_back(to_record(c));
    store.begin(info_of(study_, stage_.engine, data_, "model"), texts, to_toml(study_));
    return store;
  }
  static std::vector<std::string> texts_of(const record::StudyStore& store) {
    std::vector<std::string> out;
    for (const record::UnitRecord& unit : store.units()) out.push_back(record::to_json(unit));
    store.for_each_event([&](std::string_view line) { out.emplace_back(line); });
    return out;
  }
  std::vector<std::string> run(const std::string& name, const RunOptions& options = {},
                               const RunListener& listener = {}) {
    auto store = open(name);
    run_study(context_, data_.conversations, store, options, listener);
    return texts_of(store);
  }
  std::vector<record::UnitRecord> units(const std::string& name) {
    return record::StudyStore::open_for_reading(folder_ / name).units();
  }

  // Whether windows drop cells without any treatment.
  bool slides() const { return stage_.engine.config().window > 0; }

  engine::Stage stage_;
  ConversationSet data_;
  fs::path folder_;
  Study study_;
  StudyContext context_;
};

TEST_P(StudyRun, SharingABatchAndABeginningChangesNoRecord) {
  std::vector<std::string> histories{"recorded"};
  if (!slides()) histories.insert(histories.end(), {"own", "teacher_forced"});
  for (const std::string& history : histories) {
    set_history(history);
    const std::vector<std::string> shared = run(history);
    context_.sharing = Sharing::kOff;
    EXPECT_EQ(difference(shared, run(history + "-unshared")), "") << history;
    RunOptions alone;
    alone.n_lanes_max = 1;
    EXPECT_EQ(difference(shared, run(history + "-alone", alone)), "") << history;
    context_.sharing = Sharing::kOn;
    EXPECT_GT(shared.size(), 20U);
  }
}

TEST_P(StudyRun, AStoppedRunGoesOnToTheSameRecords) {
  const std::vector<std::string> whole = run("whole");
  std::atomic<bool> stop{false};
  RunOptions options;
  options.stop = &stop;
  options.n_lanes_max = 1;
  RunListener listener;
  listener.on_family = [&](const Progress&, const auto&) { stop.store(true); };
  try {
    run("parts", options, listener);
    FAIL() << "it was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 75);
  }
  EXPECT_EQ(units("parts").size(), whole.size() > 0 ? units("whole").size() / 2 : 0);
  EXPECT_EQ(difference(run("parts"), whole), "");
}

TEST_P(StudyRun, ShardsAreTheStudy) {
  const std::vector<std::string> whole = run("whole");
  auto merged = open("merged");
  for (const size_t shard : {1U, 0U}) {
    RunOptions options;
    options.shard = shard;
    options.n_shards = 2;
    run("shard" + std::to_string(shard), options);
    merged.merge(record::StudyStore::open_for_reading(folder_ / ("shard" + std::to_string(shard))));
  }
  EXPECT_EQ(difference(texts_of(merged), whole), "");
}

TEST_P(StudyRun, RecordsSayWhatWasDone) {
  run("whole");
  std::map<std::string, record::UnitRecord> of;
  for (record::UnitRecord& unit : units("whole")) {
    if (unit.conversation == "one" && unit.seed == 0) of[unit.arm] = std::move(unit);
  }
  ASSERT_EQ(of.size(), study_.arms.size());
  for (const auto& [arm, unit] : of) {
    EXPECT_EQ(unit.turns.size(), 3U) << arm;
    EXPECT_EQ(unit.recall.size(), arm == "baseline" || !unit.recall.empty() ? 2U : 0U) << arm;
    EXPECT_TRUE(unit.turns[0].is_recorded && !unit.turns[2].is_recorded) << arm;
  }
  // Nothing was removed: the predictions are the baseline's to the last bit.
  EXPECT_EQ(of["idle"].n_removed, 0U);
  EXPECT_EQ(of["idle"].turns[2].fidelity->kl_max, 0.0);
  EXPECT_EQ(of["idle"].turns[2].reply, of["baseline"].turns[2].reply);
  EXPECT_EQ(of["idle"].recall[0].loglik, of["baseline"].recall[0].loglik);
  EXPECT_EQ(of["idle"].turns[2].turns_since_loss, std::nullopt);
  EXPECT_GT(of["streaming"].turns[2].fidelity->kl_max, 0.0);
  EXPECT_GT(of["streaming"].n_removed, 0U);
  // One schedule of whole cells for every arm with the same share.
  for (size_t t = 0; t < 2; ++t) {
    EXPECT_EQ(of["random"].turns[t].n_cells_after, of["snapkv"].turns[t].n_cells_after) << t;
  }
  // The most whole cells per head that fit the bytes of the policy that decides for itself.
  for (size_t t = 0; t < 3; ++t) {
    const uint64_t most = of["lag"].turns[t].bytes_cells;
    const uint64_t n_cells = of["lag"].turns[t].n_cells_after;
    const auto one_each =
        static_cast<uint64_t>(stage_.engine.config().n_layers * stage_.engine.config().n_kv_heads);
    EXPECT_LE(of["by_bytes"].turns[t].bytes_cells, most) << t;
    EXPECT_GT(of["by_bytes"].turns[t].n_cells_after + one_each, n_cells) << t;
    EXPECT_LT(n_cells, of["baseline"].turns[t].n_cells_after) << t;
  }
  // Text removal leaves as many cells as the eviction that it repeats.
  EXPECT_EQ(of["text_removal"].turns[0].n_cells_after, of["streaming"].turns[0].n_cells_after);
  EXPECT_LT(of["text_removal"].turns[0].n_cells_after, of["baseline"].turns[0].n_cells_after);
  // Where the instruction never stood, nothing of it is left.
  EXPECT_EQ(of["no_instruction"].recall[0].kept_share, 0.0);
  if (slides()) {
    EXPECT_LT(of["baseline"].recall[0].kept_share, 1.0);
  } else {
    EXPECT_EQ(of["baseline"].recall[0].kept_share, 1.0);
  }
  EXPECT_LT(of["no_instruction"].turns[0].prompt_tokens, of["baseline"].turns[0].prompt_tokens);
  EXPECT_GT(of["reminder"].turns[2].prompt_tokens, of["baseline"].turns[2].prompt_tokens);
  ASSERT_TRUE(of["streaming"].cache_map.has_value());
  EXPECT_EQ(of["streaming"].cache_map->n_holders.size(), 3U);
}

// Ordinals from first to last, both included, as in "0-49,120-169".
std::set<size_t> ordinals_of(const std::string& ranges) {
  std::set<size_t> out;
  std::istringstream in(ranges);
  for (std::string range; std::getline(in, range, ',');) {
    const size_t dash = range.find('-');
    const size_t last = std::stoul(dash == std::string::npos ? range : range.substr(dash + 1));
    for (size_t o = std::stoul(range); o <= last; ++o) out.insert(o);
  }
  return out;
}

// Counted a second time, from the ordinals that the events say stay.
TEST_P(StudyRun, CellsLeftOfInstructionsAreThoseThatTheEventsKept) {
  run("whole");
  std::map<std::string, record::UnitRecord> of;
  for (record::UnitRecord& unit : units("whole")) of[unit.unit_id] = std::move(unit);
  size_t n_arms = 0;
  bool do_heads_differ = false;
  record::StudyStore::open_for_reading(folder_ / "whole")
      .for_each_event([&](std::string_view line) {
        const auto event = nlohmann::json::parse(line);
        const record::UnitRecord& unit = of.at(event.at("unit"));
        if (unit.conversation != "two" || event.at("turn") != 0 || event.at("event") != "turn_end")
          return;
        ++n_arms;
        std::vector<uint32_t> counted;
        for (const auto& layer : event.at("kept")) {
          for (const auto& head : layer) {
            uint32_t n = 0;
            for (const size_t ordinal : ordinals_of(head)) {
              n += unit.cache_map->roles.at(ordinal) == "instruction" ? 1 : 0;
            }
            counted.push_back(n);
          }
        }
        const auto span = std::find_if(unit.spans.begin(), unit.spans.end(),
                                       [](const auto& each) { return each.role == "instruction"; });
        ASSERT_EQ(span->cells_left.size(), 2U) << unit.arm;
        for (size_t i = 0; i < counted.size(); ++i) {
          EXPECT_EQ(span->cells_left_at(0, i), counted[i]) << unit.arm << ", pair " << i;
        }
        do_heads_differ = do_heads_differ || span->cells_left[0].size() == counted.size();
      });
  EXPECT_GE(n_arms, 5U);
  EXPECT_TRUE(do_heads_differ);
}

// With sampling every seed has a baseline of its own, and its arms follow that one.
TEST_P(StudyRun, ASampledStudyHasABaselineForEverySeed) {
  if (slides()) GTEST_SKIP() << "one model is enough";
  study_ = parse_study(study_text("own"), "test", {"sampling.temperature=1"});
  const std::vector<std::string> shared = run("sampled");
  std::map<uint64_t, std::map<std::string, record::UnitRecord>> of;
  for (record::UnitRecord& unit : units("sampled")) {
    if (unit.conversation == "one") of[unit.seed][unit.arm] = std::move(unit);
  }
  ASSERT_EQ(of.size(), 2U);
  EXPECT_NE(of[0]["baseline"].turns[0].reply, of[1]["baseline"].turns[0].reply);
  for (auto& [seed, arms] : of) {
    ASSERT_EQ(arms.size(), study_.arms.size()) << seed;
    EXPECT_EQ(arms["idle"].turns[2].reply, arms["baseline"].turns[2].reply) << seed;
    EXPECT_EQ(arms["idle"].turns[2].fidelity->kl_max, 0.0) << seed;
  }
  context_.sharing = Sharing::kOff;
  EXPECT_EQ(difference(shared, run("sampled-unshared")), "");
}

TEST_P(StudyRun, APlanBoundsWhatIsComputedAndShared) {
  std::vector<std::string> histories{"recorded"};
  if (!slides()) histories.insert(histories.end(), {"own", "teacher_forced"});
  for (const std::string& history : histories) {
    set_history(history);
    const StudyPlan plan = plan_study(context_, data_.conversations);
    auto store = open("plan-" + history);
    uint64_t most_cells = 0;
    RunListener listener;
    listener.on_step = [&](const Progress&) {
      most_cells = std::max(most_cells, stage_.engine.memory().cells_live);
    };
    const Progress done = run_study(context_, data_.conversations, store, {}, listener);
    const StudyMemory memory = memory_of(context_, plan, {});
    EXPECT_EQ(memory.n_families, 2U);
    EXPECT_EQ(memory.n_sequences, 2 * plan.family.size());
    EXPECT_GE(memory.plan.parts[1].n_bytes, most_cells) << memory.plan.parts[1].name;
    // Nothing of it is thought of twice.
    EXPECT_LT(memory.plan.parts[1].n_bytes, 8 * most_cells + (8U << 20U));
    EXPECT_EQ(plan.n_units, done.n_units_done);
    EXPECT_GE(plan.n_tokens() - plan.n_shared_tokens(), done.n_tokens) << history;
    EXPECT_GE(plan.n_shared_tokens(), done.n_tokens_shared) << history;
    // Closing tokens and full replies are what the plan counts too many of.
    EXPECT_LE(static_cast<double>(plan.n_shared_tokens()),
              1.5 * static_cast<double>(done.n_tokens_shared))
        << history;
  }
}

TEST_P(StudyRun, FewerLanesAndLessMemoryPutFewerConversationsInFlight) {
  const StudyPlan plan = plan_study(context_, data_.conversations);
  EXPECT_EQ(memory_of(context_, plan, {.n_lanes_max = 1}).n_families, 1U);
  EXPECT_EQ(memory_of(context_, plan, {.n_bytes_max = plan.n_bytes_family}).n_families, 1U);
  EXPECT_EQ(memory_of(context_, plan, {.n_bytes_max = 2 * plan.n_bytes_family}).n_families, 2U);
  // One conversation is run whatever it takes.
  EXPECT_EQ(memory_of(context_, plan, {.n_bytes_max = 1}).n_families, 1U);
}

// One conversation that asks for the impossible does not end the study.
TEST_P(StudyRun, AConversationThatCannotBeRunIsLeftOut) {
  study_ = parse_study(
      "name = \"t\"\nmax_new = 4\n[[arms]]\nname = \"baseline\"\nkind = \"baseline\"\n"
      "[[arms]]\nname = \"kept\"\ntreatment = \"streaming\"\nkeep_initial = 1\nbudget = 3\n"
      "protect_instructions = \"i2\"\n",
      "test");
  std::vector<RunFailure> heard;
  RunListener listener;
  listener.on_failure = [&](const RunFailure& failure) { heard.push_back(failure); };
  auto store = open("impossible");
  const Progress done = run_study(context_, data_.conversations, store, {}, listener);
  ASSERT_EQ(done.failures.size(), 1U);  // the other conversation has no such instruction
  EXPECT_EQ(heard.size(), 1U);
  EXPECT_THAT(done.failures[0].reason, ::testing::HasSubstr("arm 'kept'"));
  EXPECT_THAT(done.failures[0].reason, ::testing::HasSubstr("are protected but the budget"));
  EXPECT_EQ(done.n_families_done, 1U);
  EXPECT_EQ(store.units().size(), 2U);
}

// The smallest sizes of a preset must leave room for what its arms protect, also after a short
// turn.
TEST_P(StudyRun, EveryPresetRuns) {
  if (slides()) GTEST_SKIP() << "one model is enough";
  for (const Preset& preset : presets()) {
    study_ =
        parse_study(preset.text, preset.name, {"max_new=2", "seeds=2", "measures.cache_maps=0"});
    std::vector<RunFailure> failures;
    RunListener listener;
    listener.on_failure = [&](const RunFailure& failure) { failures.push_back(failure); };
    auto store = open(preset.name);
    run_study(context_, data_.conversations, store, {}, listener);
    for (const RunFailure& failure : failures)
      ADD_FAILURE() << preset.name << ": " << failure.reason;
    EXPECT_GE(store.units().size(), study_.arms.size()) << preset.name;
  }
}

TEST_P(StudyRun, ForcedRepliesAreNotTheArmsOwn) {
  study_ = parse_study(study_text("recorded"), "test",
                       {"measures.generate=false", "statistics.primary=kl"});
  run("forced");
  for (const record::UnitRecord& unit : units("forced")) {
    EXPECT_EQ(unit.turns.back().is_own(), unit.arm == "baseline") << unit.arm;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StudyRun, ::testing::Values("llama-f32", "gemma3-f32"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace ebb::experiment
