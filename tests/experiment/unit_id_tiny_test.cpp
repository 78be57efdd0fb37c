// A unit's name: each input that can change a result is changed by itself, and the name must change
// with it. An input that is missing from the name would let a finished unit stand for another.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "engine/session_fixture.h"
#include "experiment/unit_id.h"

namespace ebb::experiment {
namespace {

constexpr const char* kStudy = R"(
name = "s"
[[arms]]
name = "baseline"
kind = "baseline"
[[arms]]
name = "streaming"
treatment = "streaming"
keep_initial = 4
keep_recent = 12
[[arms]]
name = "shared"
treatment = "snapkv"
share = "0.5"
[[arms]]
name = "text_removal"
kind = "text_removal"
repeats = "streaming"
[[arms]]
name = "lag"
treatment = "lagkv_recursive"
[[arms]]
name = "by_bytes"
treatment = "knorm"
match_bytes = "lag"
)";

constexpr const char* kConversation = R"([{"id": "c", "turns": [
  {"turn_id": 1, "role": "user", "content": "The garden is wet.", "query": "Why?",
   "instruction": {"id": "i1", "text": "Shout.", "rules": [{"id": "ebb:all_caps"}],
   "active_from": 1, "active_until": 3}},
  {"turn_id": 2, "role": "assistant", "content": "IT HAS RAINED."},
  {"turn_id": 3, "role": "user", "query": "And the snails?"}]}])";

class UnitName : public ::testing::Test {
 protected:
  const StudyArm& arm(const std::string& name) const {
    for (const StudyArm& one : study_.arms) {
      if (one.name == name) return one;
    }
    throw std::out_of_range(name);
  }
  std::string name_of(const StudyArm& one) const {
    return unit_id("key", conversation_, study_, one, 0);
  }

  Study study_ = parse_study(kStudy, "test");
  Conversation conversation_ = parse_conversations(kConversation, "test").conversations.front();
};

TEST_F(UnitName, IsTheSameForTheSameInputs) {
  EXPECT_EQ(name_of(arm("streaming")), name_of(arm("streaming")));
  // What a person may change without changing a result.
  StudyArm renamed = arm("streaming");
  renamed.name = "another name";
  renamed.n_seeds = 1;
  EXPECT_EQ(name_of(renamed), name_of(arm("streaming")));
}

TEST_F(UnitName, HoldsKeyAndSeed) {
  const StudyArm& one = arm("streaming");
  EXPECT_NE(unit_id("other", conversation_, study_, one, 0), name_of(one));
  EXPECT_NE(unit_id("key", conversation_, study_, one, 1), name_of(one));
}

TEST_F(UnitName, HoldsEveryFieldOfTheConversation) {
  const std::string before = name_of(arm("streaming"));
  const std::function<void(Conversation&)> changes[] = {
      [](Conversation& c) { c.id = "d"; },  // random draws are keyed by it
      [](Conversation& c) { c.turns[0].turn_id = 7; },
      [](Conversation& c) { c.turns[0].speaker = Speaker::kSystem; },
      [](Conversation& c) { c.turns[0].content += "!"; },
      [](Conversation& c) { c.turns[0].query += "!"; },
      [](Conversation& c) { c.turns[0].instruction->id = "i2"; },
      [](Conversation& c) { c.turns[0].instruction->text += "!"; },
      [](Conversation& c) { c.turns[0].instruction->rules.clear(); },
      [](Conversation& c) { c.turns[0].instruction->active_from = 2; },
      [](Conversation& c) { c.turns[0].instruction->active_until = 4; },
      [](Conversation& c) { c.turns[0].instruction->overridden_by = "i9"; },
      [](Conversation& c) { c.turns[0].instruction.reset(); },
      [](Conversation& c) { c.turns[1].content += "!"; },
      [](Conversation& c) { c.turns.pop_back(); }};
  const Conversation original = conversation_;
  for (size_t i = 0; i < std::size(changes); ++i) {
    conversation_ = original;
    changes[i](conversation_);
    EXPECT_NE(name_of(arm("streaming")), before) << "change " << i;
  }
}

TEST_F(UnitName, HoldsEverySettingOfTheArm) {
  const std::map<std::string, std::string> instead = {
      {"keep_initial", "5"},     {"keep_recent", "13"}, {"positions", "compact"},
      {"trigger", "prompt_end"}, {"layers", "global"},  {"scope", "newest_turn"},
      {"protect_first", "1"},    {"protect_last", "1"}, {"protect_roles", "system"},
      {"protect_ordinals", "3"}};
  const StudyArm& streaming = arm("streaming");
  const policy::ParamMap before = policy::settings_of(treatment_of(streaming));
  for (const auto& [key, value] : instead) {
    StudyArm changed = streaming;
    changed.settings[key] = value;
    ASSERT_NE(policy::settings_of(treatment_of(changed)), before) << key;
    EXPECT_NE(name_of(changed), name_of(streaming)) << key;
  }
  StudyArm other_policy = streaming;
  other_policy.treatment = "keydiff";
  other_policy.settings = {{"budget", "16"}};
  EXPECT_NE(name_of(other_policy), name_of(streaming));
}

// The file's name stays, what it says changes.
TEST_F(UnitName, HoldsWhatABudgetFileSays) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / "unit-name-budgets.json";
  StudyArm filed = arm("streaming");
  filed.treatment = "keydiff";
  filed.settings = {{"allocator", "file"}, {"budget_file", path.string()}};
  std::vector<std::string> names;
  for (const char* budgets : {"[[4, 4], [4, 4]]", "[[4, 4], [4, 5]]"}) {
    std::ofstream(path) << R"({"budgets": )" << budgets << "}";
    names.push_back(name_of(filed));
  }
  std::filesystem::remove(path);
  EXPECT_NE(names[0], names[1]);
}

TEST_F(UnitName, HoldsKindShareAndTheArmThatIsRepeated) {
  StudyArm floor = arm("baseline");
  floor.kind = StudyArmKind::kNoInstruction;
  EXPECT_NE(name_of(floor), name_of(arm("baseline")));
  StudyArm more = arm("shared");
  more.share = "0.6";
  EXPECT_NE(name_of(more), name_of(arm("shared")));
  const std::string before = name_of(arm("text_removal"));
  for (StudyArm& one : study_.arms) {
    if (one.name == "streaming") one.settings["keep_recent"] = "13";
  }
  EXPECT_NE(name_of(arm("text_removal")), before);
}

TEST_F(UnitName, HoldsTheArmWhoseBytesAreMatched) {
  const std::string before = name_of(arm("by_bytes"));
  for (StudyArm& one : study_.arms) {
    if (one.name == "lag") one.settings["keep_ratio"] = "0.25";
  }
  EXPECT_NE(name_of(arm("by_bytes")), before);
}

TEST_F(UnitName, TheStudysKeyHoldsItsSettingsModelAndTurnFormat) {
  const engine::Stage stage("llama-f32");
  const auto format = model::ChatTemplate::find(*stage.tokenizer);
  const std::string key = study_key(study_, stage.engine, format, "model");
  EXPECT_EQ(key.rfind("version=" + std::to_string(kResultVersion) + ";", 0), 0U);
  EXPECT_NE(study_key(study_, stage.engine, format, "other model"), key);
  const auto other_format = model::ChatTemplate::find(*stage.tokenizer, "plain");
  EXPECT_NE(study_key(study_, stage.engine, other_format, "model"), key);
  const std::function<void(Study&)> changes[] = {[](Study& s) { s.max_new = 7; },
                                                 [](Study& s) { s.history = History::kOwn; },
                                                 [](Study& s) { s.sampling.temperature = 1; },
                                                 [](Study& s) { s.sampling.top_p = 0.5; },
                                                 [](Study& s) { s.measures.generate = false; },
                                                 [](Study& s) { s.measures.fidelity = false; },
                                                 [](Study& s) { s.measures.recall = false; }};
  for (size_t i = 0; i < std::size(changes); ++i) {
    Study other = study_;
    changes[i](other);
    EXPECT_NE(study_key(other, stage.engine, format, "model"), key) << "change " << i;
  }
}

TEST_F(UnitName, TheStudysKeyHoldsHowIsComputed) {
  const engine::Stage stage("llama-f32");
  const auto format = model::ChatTemplate::find(*stage.tokenizer);
  const auto key_with = [&](engine::Numerics numerics, engine::LinearKernels kernels,
                            std::optional<CellType> cells) {
    engine::EngineOptions options = engine::with_numerics(numerics, 1);
    options.kernels = kernels;
    options.cell_type = cells;
    const engine::Engine engine(model::Model::load(stage.path), options);
    return study_key(study_, engine, format, "model");
  };
  using engine::LinearKernels;
  using engine::Numerics;
  const std::string key = key_with(Numerics::kFast, LinearKernels::kOwn, {});
  EXPECT_NE(key_with(Numerics::kStrict, LinearKernels::kOwn, {}), key);
  EXPECT_NE(key_with(Numerics::kFast, LinearKernels::kGgml, {}), key);
  EXPECT_NE(key_with(Numerics::kFast, LinearKernels::kOwn, CellType::kF32), key);
}

TEST(Fingerprint, HoldsEverythingThatComputes) {
  const FingerprintParts parts{.kernels = "avx2",
                               .numerics = "strict",
                               .cpu_features = {"avx2", "fma"},
                               .ggml = "ggml-1",
                               .mathematics = "glibc-1"};
  const std::string text = fingerprint_text(parts);
  const std::function<void(FingerprintParts&)> changes[] = {
      [](FingerprintParts& p) { p.kernels = "avx512"; },
      [](FingerprintParts& p) { p.numerics = "fast"; },
      [](FingerprintParts& p) { p.cpu_features.pop_back(); },
      [](FingerprintParts& p) { p.ggml = "ggml-2"; },
      [](FingerprintParts& p) { p.mathematics = "glibc-2"; }};
  for (size_t i = 0; i < std::size(changes); ++i) {
    FingerprintParts other = parts;
    changes[i](other);
    EXPECT_NE(fingerprint_text(other), text) << "change " << i;
  }
  const engine::Stage stage("llama-f32");
  const std::string found = fingerprint_of(stage.engine);
  EXPECT_NE(found.find("ggml-"), std::string::npos);
  EXPECT_EQ(found.find("/fast"), std::string::npos) << found;
  const engine::Engine fast(engine::tiny_model("llama-f32"),
                            engine::with_numerics(engine::Numerics::kFast));
  EXPECT_NE(fingerprint_of(fast).find("/fast.2/"), std::string::npos) << "an edition of its own";
}

}  // namespace
}  // namespace ebb::experiment
