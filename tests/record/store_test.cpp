#include "record/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "base/error.h"
#include "record/format_1.h"

namespace ebb::record {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("ebb-store-" + unique())) { fs::remove_all(path_); }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  static std::string unique() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    static int count = 0;
    return std::string(info->name()) + std::to_string(getpid()) + "-" + std::to_string(++count);
  }
  fs::path path_;
};

StudyInfo made_study() {
  StudyInfo study;
  study.name = "test";
  study.fingerprint = "avx512/strict";
  study.seeds = {0, 12'345'678'901'234'567'890U};
  study.arms = {{.name = "baseline", .kind = "baseline"},
                {.name = "streaming", .kind = "treatment"}};
  study.contrasts = {{"H1", "baseline", "streaming", "confirmatory", {{"rules", 0.1}}}};
  return study;
}

std::vector<ConversationText> made_conversations() {
  ConversationText c;
  c.id = "b-first";
  c.instructions = {{"i1", "Say \"so\".", {R"({"id":"ebb:no_digits"})"}, 1, std::nullopt, ""}};
  c.turns = {{.turn_id = 1, .speaker = "user", .instruction_id = "i1", .query = "Well?"}};
  ConversationText d = c;
  d.id = "a-second";
  return {c, d};
}

UnitRecord made_unit(const std::string& conversation, const std::string& arm, uint64_t seed) {
  UnitRecord unit;
  unit.unit_id = conversation + arm + std::to_string(seed);
  unit.arm = arm;
  unit.conversation = conversation;
  unit.seed = seed;
  unit.digest = "d-" + unit.unit_id;
  UnitTurn turn;
  turn.reply = "a\xff\n\"b\"";
  turn.stop = "length";
  turn.fidelity = Fidelity{.n_tokens = 3, .kl_mean = 0.1, .first_divergence = -1};
  unit.turns = {turn};
  unit.spans = {{.role = "instruction",
                 .n_tokens = 4,
                 .kept_share = {std::nullopt, 0.5},
                 .cells_left = {{}, {4, 0, 1, 3}}}};
  unit.recall = {{"i1", 7, -1.25, 0.5}};
  return unit;
}

std::vector<UnitRecord> made_family(const std::string& conversation) {
  return {made_unit(conversation, "streaming", 12'345'678'901'234'567'890U),
          made_unit(conversation, "streaming", 0), made_unit(conversation, "baseline", 0)};
}

template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(StudyStore, GivesBackWhatWasWrittenInTheOrderOfTheStudy) {
  const Folder folder;
  {
    auto store = StudyStore::open_for_writing(folder.path());
    store.begin(made_study(), made_conversations(), "a = 1\n");
    const std::vector<EventLine> events{{"x", "{\"event\": 1}"}};
    store.commit_family("a-second", made_family("a-second"), {});
    store.commit_family("b-first", made_family("b-first"), events);
  }
  const auto store = StudyStore::open_for_reading(folder.path());
  EXPECT_EQ(to_json(store.study()), to_json(made_study()));
  EXPECT_EQ(store.study().seeds.back(), 12'345'678'901'234'567'890U);
  EXPECT_EQ(to_json(store.conversations()[0]), to_json(made_conversations()[0]));
  std::vector<std::string> ids;
  for (const UnitRecord& unit : store.units()) ids.push_back(unit.unit_id);
  EXPECT_THAT(ids, ElementsAre("b-firstbaseline0", "b-firststreaming0",
                               "b-firststreaming12345678901234567890", "a-secondbaseline0",
                               "a-secondstreaming0", "a-secondstreaming12345678901234567890"));
  const UnitRecord unit = store.units().front();
  EXPECT_EQ(unit.turns[0].reply, "a\xEF\xBF\xBD\n\"b\"");
  EXPECT_EQ(unit.turns[0].fidelity->n_tokens, 3);
  EXPECT_EQ(unit.spans[0].kept_share[0], std::nullopt);
  EXPECT_EQ(unit.spans[0].kept_share[1], 0.5);
  EXPECT_THAT(unit.spans[0].cells_left, ElementsAre(::testing::IsEmpty(), ElementsAre(4, 0, 1, 3)));
  EXPECT_EQ(unit.recall[0].loglik, -1.25);
  size_t n_lines = 0;
  store.for_each_event([&](std::string_view) { ++n_lines; });
  EXPECT_EQ(n_lines, 1U);
}

TEST(StudyStore, TheOneMarginOfBeforeIsThePrimaryEndpoints) {
  StudyInfo study = made_study();
  study.primary_endpoint = "recall";
  std::string json = to_json(study);
  const std::string now = R"("margins":{"rules":0.1})";
  json.replace(json.find(now), now.size(), R"("margin":0.3)");
  const auto margins = study_from_json(json).contrasts.front().margins;
  EXPECT_THAT(margins, ElementsAre(std::pair("recall", 0.3)));
  EXPECT_EQ(study_from_json(to_json(study)).contrasts.front().margins.at("rules"), 0.1);
}

TEST(StudyStore, AFamilyIsThereAsAWholeOrNotAtAll) {
  const Folder folder;
  auto store = StudyStore::open_for_writing(folder.path());
  store.begin(made_study(), made_conversations(), "");
  std::vector<UnitRecord> doubled = made_family("b-first");
  doubled.push_back(doubled.front());
  EXPECT_THAT(error_of([&] { store.commit_family("b-first", doubled, {}); }), HasSubstr("UNIQUE"));
  EXPECT_EQ(store.n_units(), 0U);
  EXPECT_TRUE(store.finished_conversations().empty());
}

TEST(StudyStore, ASecondWriterIsRefused) {
  const Folder folder;
  auto store = StudyStore::open_for_writing(folder.path());
  EXPECT_THAT(error_of([&] { StudyStore::open_for_writing(folder.path()); }),
              HasSubstr("another process writes into this folder"));
}

TEST(StudyStore, AnotherStudyInTheSameFolderIsRefusedWithTheDifference) {
  const Folder folder;
  auto store = StudyStore::open_for_writing(folder.path());
  store.begin(made_study(), made_conversations(), "a = 1\nb = 2\n");
  store.begin(made_study(), made_conversations(), "a = 1\nb = 2\n");
  EXPECT_THAT(error_of([&] { store.begin(made_study(), made_conversations(), "a = 1\nb = 3\n"); }),
              HasSubstr("it was begun with 'b = 2', now it is 'b = 3'"));
  StudyInfo other = made_study();
  other.model_sha256 = "other";
  EXPECT_THAT(error_of([&] { store.begin(other, made_conversations(), "a = 1\nb = 2\n"); }),
              HasSubstr("another study"));
}

// A stored study and its file as text, to change bytes in.
class StoredStudy {
 public:
  StoredStudy() {
    auto store = StudyStore::open_for_writing(folder_.path());
    store.begin(made_study(), made_conversations(), "max_new = 5\n");
    const std::vector<EventLine> events{{"b-firststreaming0", "{\"event\": 1}"}};
    store.commit_family("b-first", made_family("b-first"), events);
  }
  const fs::path& folder() const { return folder_.path(); }
  fs::path file() const { return folder_.path() / "study.db"; }
  std::string bytes() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& content) const {
    std::ofstream(file(), std::ios::binary) << content;
  }
  // Everything that can be read, or the error.
  std::string error_when_read() const {
    return error_of([&] {
      const auto store = StudyStore::open_for_reading(folder_.path());
      store.study();
      store.resolved();
      store.conversations();
      store.units();
      store.for_each_event([](std::string_view) {});
    });
  }

 private:
  Folder folder_;
};

TEST(StudyStore, AChangedByteOfWhateverWasWrittenIsDamage) {
  const StoredStudy stored;
  const std::string bytes = stored.bytes();
  ASSERT_EQ(stored.error_when_read(), "no error");
  for (const char* text : {"\"loglik\":-1.25", "max_new = 5", "{\"event\": 1}", "\"query\":\"Well?",
                           "\"name\":\"test", "b-firststreaming0{", "b-firstbaseline0"}) {
    const size_t at = bytes.rfind(text);
    ASSERT_NE(at, std::string::npos) << text;
    std::string changed = bytes;
    const size_t last = at + std::strlen(text) - (std::string(text).back() == '{' ? 2 : 1);
    changed[last] = static_cast<char>(changed[last] ^ 1);
    stored.write(changed);
    EXPECT_THAT(stored.error_when_read(), HasSubstr("damaged")) << text;
  }
}

TEST(StudyStore, RowsThatAreGoneAreDamage) {
  for (const char* sql : {"DELETE FROM events", "DELETE FROM units WHERE arm = 'baseline'",
                          "DELETE FROM families", "DELETE FROM conversations WHERE place = 1",
                          "UPDATE families SET fingerprint = 'another machine'",
                          "PRAGMA user_version = 1", "PRAGMA user_version = 0"}) {
    const StoredStudy stored;
    SQLite::Database(stored.file().string(), SQLite::OPEN_READWRITE).exec(sql);
    EXPECT_THAT(stored.error_when_read(), HasSubstr("damaged")) << sql;
  }
}

TEST(StudyStore, NewerFormatsAndOtherFilesAreRefused) {
  const StoredStudy stored;
  std::string changed = stored.bytes();
  changed[63] = 9;  // user_version, big-endian at byte 60
  stored.write(changed);
  EXPECT_THAT(stored.error_when_read(), HasSubstr("newer ebb"));
  stored.write("this is no database, although it is long enough to have a header of its own");
  EXPECT_THAT(stored.error_when_read(), HasSubstr("study.db"));
}

TEST(StudyStore, AStudyOfFormat1IsReadAndIsSealedWhenItIsWrittenAgain) {
  const StoredStudy stored;
  const auto export_of = [&] {
    const auto store = StudyStore::open_for_reading(stored.folder());
    std::string out = to_json(store.study()) + store.resolved();
    for (const UnitRecord& unit : store.units()) out += to_json(unit);
    store.for_each_event([&](std::string_view line) { out += line; });
    return out;
  };
  const std::string expected = export_of();
  testing::make_format_1(stored.file());
  EXPECT_EQ(export_of(), expected);
  {
    auto store = StudyStore::open_for_writing(stored.folder());
    store.begin(made_study(), made_conversations(), "max_new = 5\n");
    store.commit_family("a-second", made_family("a-second"), {});
  }
  EXPECT_EQ(StudyStore::open_for_reading(stored.folder()).fingerprints(),
            std::set<std::string>{"avx512/strict"});
  SQLite::Database(stored.file().string(), SQLite::OPEN_READWRITE).exec("DELETE FROM events");
  EXPECT_THAT(stored.error_when_read(), HasSubstr("the events of 'b-first'"));
}

TEST(StudyStore, AnotherMachineIsRefusedUnlessAskedFor) {
  const StoredStudy stored;
  StudyInfo elsewhere = made_study();
  elsewhere.fingerprint = "avx2/strict";
  const auto go_on = [&](Machines machines) {
    auto store = StudyStore::open_for_writing(stored.folder());
    store.begin(elsewhere, made_conversations(), "max_new = 5\n", machines);
    store.commit_family("a-second", made_family("a-second"), {});
  };
  const auto both =
      AllOf(HasSubstr("avx512/strict"), HasSubstr("avx2/strict"), HasSubstr("--any-machine"));
  EXPECT_THAT(error_of([&] { go_on(Machines::kOne); }), both);
  StudyStore::open_for_reading(stored.folder()).check_one_machine();
  go_on(Machines::kAny);
  const auto mixed = StudyStore::open_for_reading(stored.folder());
  EXPECT_THAT(error_of([&] { mixed.check_one_machine(); }), both);
  const Folder target;
  auto merged = StudyStore::open_for_writing(target.path());
  EXPECT_THAT(error_of([&] { merged.merge(mixed); }), both);
  merged.merge(mixed, Machines::kAny);
  EXPECT_EQ(merged.fingerprints(), mixed.fingerprints());
}

TEST(StudyStore, ShardsOfTwoMachinesMergeOnlyWhenAskedFor) {
  const StoredStudy here;
  const Folder there;
  StudyInfo elsewhere = made_study();
  elsewhere.fingerprint = "avx2/strict";
  {
    auto store = StudyStore::open_for_writing(there.path());
    store.begin(elsewhere, made_conversations(), "max_new = 5\n");
    store.commit_family("a-second", made_family("a-second"), {});
  }
  const Folder target;
  auto merged = StudyStore::open_for_writing(target.path());
  merged.merge(StudyStore::open_for_reading(here.folder()));
  const auto other = StudyStore::open_for_reading(there.path());
  EXPECT_THAT(error_of([&] { merged.merge(other); }),
              AllOf(HasSubstr("avx512/strict"), HasSubstr("avx2/strict")));
  merged.merge(other, Machines::kAny);
  EXPECT_EQ(merged.n_units(), 6U);
  EXPECT_EQ(merged.fingerprints().size(), 2U);
}

TEST(StudyStore, AShardThatWasMadeOfSomethingElseIsRefusedByTheFirstThingThatDiffers) {
  struct Case {
    std::string name;  // in the message
    std::function<void(StudyInfo&, std::vector<ConversationText>&, std::string& resolved,
                       std::vector<UnitRecord>&)>
        change;
  };
  const Case cases[] = {
      {"model_sha256", [](auto& study, auto&, auto&, auto&) { study.model_sha256 = "b"; }},
      {"data_sha256", [](auto& study, auto&, auto&, auto&) { study.data_sha256 = "b"; }},
      {"numerics", [](auto& study, auto&, auto&, auto&) { study.numerics = "fast"; }},
      {"inputs", [](auto& study, auto&, auto&, auto&) { study.inputs = "cells f32"; }},
      {"seeds", [](auto& study, auto&, auto&, auto&) { study.seeds = {1}; }},
      {"max_new = 6", [](auto&, auto&, auto& resolved, auto&) { resolved = "max_new = 6\n"; }},
      {"conversations: number 2",
       [](auto&, auto& conversations, auto&, auto&) { conversations[1].turns[0].query = "So?"; }},
      {"conversations: number 2",
       [](auto&, auto& conversations, auto&, auto&) { conversations.pop_back(); }},
      {"unit b-firststreaming0",
       [](auto&, auto&, auto&, auto& units) {
         for (UnitRecord& unit : units) {
           if (unit.arm == "streaming" && unit.seed == 0) unit.digest = "another";
         }
       }},
  };
  for (const Case& one : cases) {
    StudyInfo study = made_study();
    study.inputs = "cells f16";
    const Folder mine, other, target;
    for (const Folder* folder : {&mine, &other}) {
      std::vector<ConversationText> conversations = made_conversations();
      std::string resolved = "max_new = 5\n";
      std::vector<UnitRecord> units = made_family("b-first");
      if (folder == &other) one.change(study, conversations, resolved, units);
      auto store = StudyStore::open_for_writing(folder->path());
      store.begin(study, conversations, resolved);
      store.commit_family("b-first", units, {});
      if (folder == &other && conversations.size() > 1) {
        store.commit_family("a-second", made_family("a-second"), {});
      }
    }
    auto merged = StudyStore::open_for_writing(target.path());
    merged.merge(StudyStore::open_for_reading(mine.path()));
    EXPECT_THAT(error_of([&] { merged.merge(StudyStore::open_for_reading(other.path())); }),
                HasSubstr(one.name));
    EXPECT_EQ(merged.n_units(), 3U) << one.name << ": a part was taken over";
  }
}

TEST(StudyStore, ShardsMergeInAnyOrder) {
  const Folder a;
  const Folder b;
  for (const auto& [folder, id] : {std::pair(&a, "b-first"), std::pair(&b, "a-second")}) {
    auto store = StudyStore::open_for_writing(folder->path());
    store.begin(made_study(), made_conversations(), "x\n");
    store.commit_family(id, made_family(id), {});
  }
  std::vector<std::vector<std::string>> results;
  for (const auto& order : {std::pair(&a, &b), std::pair(&b, &a)}) {
    const Folder out;
    auto store = StudyStore::open_for_writing(out.path());
    store.merge(StudyStore::open_for_reading(order.first->path()));
    store.merge(StudyStore::open_for_reading(order.second->path()));
    auto& jsons = results.emplace_back();
    for (const UnitRecord& unit : store.units()) jsons.push_back(to_json(unit));
  }
  EXPECT_EQ(results[0].size(), 6U);
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace ebb::record
