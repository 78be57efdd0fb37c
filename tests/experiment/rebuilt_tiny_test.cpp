// A sequence is never saved: what outlives the process is its tokens and a line for every eviction.
// From those another engine must come to the same cells and go on in the same way, bit for bit.
// Studies are saved by whole families; wherever a run stops, the next one must end with the same
// study.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/session_fixture.h"
#include "experiment/conversation_record.h"
#include "experiment/eviction_log.h"
#include "experiment/study_run.h"
#include "property.h"

namespace ebb::experiment {
namespace {

namespace fs = std::filesystem;
using engine::Engine;
using engine::Sequence;
using engine::Stage;

class Rebuilt : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, Rebuilt, testing::Values("llama-f32", "gemma3-f32"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

policy::Treatment any_treatment() {
  const auto name = *rc::gen::element<std::string>("random", "knorm", "h2o", "snapkv");
  const auto budget = *rc::gen::inRange(10, 60);
  policy::ParamMap settings = {
      {"budget", std::to_string(budget)},
      {"trigger", *rc::gen::element<std::string>("turn_end", "turn_end,cap", "every_n:3",
                                                 "prompt_end", "turn_end,prompt_block:16")},
      {"positions", *rc::gen::element<std::string>("original", "compact", "colliding")}};
  if (name == "snapkv") settings["window"] = "8";
  return policy::make_treatment(name, settings);
}

std::unique_ptr<engine::Session> talk(Stage& stage, const policy::Treatment& treatment) {
  engine::SessionOptions options;
  options.conversation_id = "c";
  options.treatment = treatment;
  options.seed = *rc::gen::arbitrary<uint32_t>();
  auto session = std::make_unique<engine::Session>(stage.engine, stage.tokenizer, stage.format,
                                                   std::move(options));
  engine::Session* one = session.get();
  for (const char* text : {"The mill stands by the river.", "Who owns it?"}) {
    session->begin_turn(engine::say(text), 8);
    run_until_idle(stage.engine, std::span(&one, 1));
  }
  return session;
}

// "0-2,5-5" -> [0, 1, 2, 5].
std::vector<uint32_t> ordinals_in(const std::string& ranges) {
  std::vector<uint32_t> out;
  for (const std::string& range : policy::split_list(ranges)) {
    const auto ends = policy::split_list(range, '-');
    for (uint32_t o = static_cast<uint32_t>(std::stoul(ends.front())); o <= std::stoul(ends.back());
         ++o) {
      out.push_back(o);
    }
  }
  return out;
}

enum class Events { kAll, kNone };

Sequence rebuild(Engine& engine, PositionMode positions, const std::vector<int32_t>& ids,
                 const std::vector<std::string>& lines, Events events) {
  Sequence sequence = engine.make_sequence(positions);
  const std::span<const int32_t> all = ids;
  size_t at = 0;
  for (const std::string& text : lines) {
    if (events == Events::kNone) break;
    const auto line = nlohmann::json::parse(text);
    const auto n_logical = line["n_logical"].get<size_t>();
    run_all(engine, sequence, all.subspan(at, n_logical - at));
    at = n_logical;
    nlohmann::json kept = nlohmann::json::array();
    for (const auto& layer : line["kept"]) {
      kept.push_back(nlohmann::json::array());
      for (const auto& head : layer) kept.back().push_back(ordinals_in(head.get<std::string>()));
    }
    engine.evict(sequence, plan_of(sequence, kept));
  }
  run_all(engine, sequence, all.subspan(at));
  return sequence;
}

TEST_P(Rebuilt, ASequenceFromItsTokensAndEventLinesGoesOnAsTheFirst) {
  Stage first(GetParam(), engine::with_numerics(engine::Numerics::kStrict, 1));
  Stage other(GetParam(), engine::with_numerics(engine::Numerics::kStrict, 1));
  check_property(25, [&] {
    const policy::Treatment treatment = any_treatment();
    const auto session = talk(first, treatment);
    const auto lines = eviction_lines(*session, {.arm = "a"});
    const std::vector<int32_t> ids = session->sequence().ids();
    uint64_t n_removed = 0;
    for (const auto& turn : session->turns()) {
      for (const auto& event : turn.events) n_removed += event.loss.n_by_treatment;
    }

    Sequence original = session->sequence().fork();
    Sequence rebuilt = rebuild(other.engine, treatment.positions, ids, lines, Events::kAll);
    RC_ASSERT(engine::kept_ranges(rebuilt.cells()) == engine::kept_ranges(original.cells()));
    const std::vector<int32_t> next = engine::random_ids(6, 17);
    const std::vector<float> expected = run_all(first.engine, original, next);
    RC_ASSERT(engine::same_bits(expected, run_all(other.engine, rebuilt, next)));
    // The control: without its events it is another sequence.
    Sequence whole = rebuild(other.engine, treatment.positions, ids, lines, Events::kNone);
    RC_ASSERT(engine::same_bits(expected, run_all(other.engine, whole, next)) == (n_removed == 0));
  });
}

constexpr const char* kStudy = R"(
name = "tiny"
max_new = 3
history = "own"
[[arms]]
name = "baseline"
kind = "baseline"
[[arms]]
name = "random"
treatment = "random"
share = "0.5"
)";

class StoppedStudy : public testing::Test {
 protected:
  static constexpr int kFamilies = 5;

  StoppedStudy()
      : stage_("llama-f32"),
        study_(parse_study(kStudy, "test")),
        folder_(fs::temp_directory_path() / ("ebb-stopped-" + std::to_string(getpid()))) {
    nlohmann::json text = nlohmann::json::array();
    for (int i = 0; i < kFamilies; ++i) {
      const std::string id = "c" + std::to_string(i);
      text.push_back({{"id", id},
                      {"turns",
                       {{{"turn_id", 1}, {"role", "user"}, {"content", "The garden of " + id}},
                        {{"turn_id", 2}, {"role", "user"}, {"query", "Is it wet?"}}}}});
    }
    data_ = parse_conversations(text.dump(), "test.json");
    fs::remove_all(folder_);
  }
  ~StoppedStudy() override { fs::remove_all(folder_); }

  // Runs until `n_families` more are stored, with a store that is opened for this run.
  void run(const std::string& name, int n_families, int n_lanes) {
    auto store = record::StudyStore::open_for_writing(folder_ / name);
    std::vector<record::ConversationText> texts;
    for (const Conversation& c : data_.conversations) texts.push_back(to_record(c));
    store.begin(info_of(study_, stage_.engine, data_, "model"), texts, to_toml(study_));
    StudyContext context;
    context.study = &study_;
    context.engine = &stage_.engine;
    context.tokenizer = stage_.tokenizer;
    context.format = stage_.format;
    context.key = "test";
    std::atomic<bool> stop{false};
    RunOptions options;
    options.n_lanes_max = n_lanes;
    options.stop = &stop;
    RunListener listener;
    listener.on_family = [&](const Progress&, const auto&) { stop.store(--n_families == 0); };
    try {
      run_study(context, data_.conversations, store, options, listener);
    } catch (const Error& error) {
      if (error.exit_code() != 75) throw;
    }
  }

  std::vector<std::string> read(const std::string& name) const {
    const auto store = record::StudyStore::open_for_reading(folder_ / name);
    std::vector<std::string> out;
    for (const record::UnitRecord& unit : store.units()) out.push_back(record::to_json(unit));
    store.for_each_event([&](std::string_view line) { out.emplace_back(line); });
    return out;
  }

  Stage stage_;
  Study study_;
  ConversationSet data_;
  fs::path folder_;
};

TEST_F(StoppedStudy, WhereverItStopsTheNextRunEndsWithTheSameRecords) {
  run("whole", kFamilies, 48);
  const std::vector<std::string> whole = read("whole");
  ASSERT_EQ(whole.size(), 2U * kFamilies + 2U * kFamilies);  // units, and two events of `random`
  int n_cases = 0;
  int n_runs = 0;
  check_property(12, [&] {
    const std::string name = "parts" + std::to_string(n_cases++);
    do {
      // Families in flight may end in the same step, so a run stores this many or a few more.
      run(name, *rc::gen::inRange(1, 4), *rc::gen::inRange(1, 9));
      ++n_runs;
    } while (read(name).size() < whole.size());
    RC_ASSERT(read(name) == whole);
  });
  EXPECT_GT(n_runs, n_cases) << "no run was stopped";
}

}  // namespace
}  // namespace ebb::experiment
