// The store under attack: the process dies, the disk is full or fails, bytes change. Either the
// study is what an undisturbed run leaves, or there is a typed error; and a second run finishes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "dice.h"
#include "record/faulty_disk.h"
#include "record/format_1.h"
#include "record/store.h"
#include "record/study_records.h"

namespace ebb::record {
namespace {

namespace fs = std::filesystem;
using testing::Fault;
using testing::faulty_disk;

const std::vector<std::string> kConversations = {"first", "second", "third"};

std::vector<UnitRecord> family(const std::string& conversation) {
  std::vector<UnitRecord> units;
  for (const char* arm : {"baseline", "streaming"}) {
    UnitRecord unit;
    unit.unit_id = conversation + "-" + arm;
    unit.conversation = conversation;
    unit.arm = arm;
    unit.digest = "digest of " + unit.unit_id;
    unit.turns.emplace_back();
    unit.turns.back().reply = std::string(3000, 'r');  // more than a page
    units.push_back(unit);
  }
  return units;
}

// A small study, from wherever an earlier run was stopped.
void run_study(const fs::path& folder) {
  auto store = StudyStore::open_for_writing(folder);
  StudyInfo study;
  study.name = "attacked";
  study.seeds = {0};
  study.arms = {{.name = "baseline", .kind = "baseline"},
                {.name = "streaming", .kind = "treatment"}};
  std::vector<ConversationText> texts(kConversations.size());
  for (size_t i = 0; i < texts.size(); ++i) texts[i].id = kConversations[i];
  store.begin(study, texts, "a = 1\n");
  const auto finished = store.finished_conversations();
  for (const std::string& conversation : kConversations) {
    if (finished.contains(conversation)) continue;
    const std::vector<EventLine> events = {
        {conversation + "-streaming", "{\"turn\":1,\"kept\":\"" + std::string(1000, 'k') + "\"}"}};
    store.commit_family(conversation, family(conversation), events);
  }
}

// All that a study holds, as one text.
std::string export_of(const fs::path& folder) {
  const auto store = StudyStore::open_for_reading(folder);
  std::string out = to_json(store.study()) + "\n" + store.resolved() + "\n";
  for (const ConversationText& text : store.conversations()) out += to_json(text) + "\n";
  for (const std::string& fingerprint : store.fingerprints()) out += fingerprint + "\n";
  for (const UnitRecord& unit : store.units()) out += to_json(unit) + "\n";
  store.for_each_event([&](std::string_view line) { out += std::string(line) + "\n"; });
  return out;
}

class AttackedStore : public ::testing::Test {
 protected:
  AttackedStore() {
    std::string name = (fs::temp_directory_path() / "ebb-attack-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    testing::use_faulty_disk();
    faulty_disk() = {};
    run_study(root_ / "undisturbed");
    n_operations_ = faulty_disk().n_operations;
    expected_ = export_of(root_ / "undisturbed");
  }
  ~AttackedStore() override {
    faulty_disk() = {};
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  fs::path fresh() {
    fs::remove_all(root_ / "study");
    return root_ / "study";
  }

  fs::path root_;
  int n_operations_ = 0;
  std::string expected_;
};

TEST_F(AttackedStore, AKillAtAnyOperationLosesNothingThatWasFinished) {
  ASSERT_GT(n_operations_, 20);
  for (int at = 1; at <= n_operations_; ++at) {
    SCOPED_TRACE(at);
    const fs::path folder = fresh();
    const pid_t child = ::fork();
    if (child == 0) {
      faulty_disk() = {.fault = Fault::kKill, .at = at};
      run_study(folder);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 137);
    faulty_disk() = {};
    run_study(folder);
    ASSERT_EQ(export_of(folder), expected_);
  }
  std::printf("killed at each of %d operations, nothing lost\n", n_operations_);
}

TEST_F(AttackedStore, AFullOrFailingDiskIsAStorageErrorAndASecondRunFinishes) {
  constexpr int kStride = 3;  // every kind of operation comes along
  int n_errors = 0;
  for (const Fault fault : {Fault::kFull, Fault::kError}) {
    for (const bool is_lasting : {false, true}) {
      for (int at = 1; at <= n_operations_; at += kStride) {
        SCOPED_TRACE(::testing::Message() << "operation " << at << " lasting " << is_lasting);
        const fs::path folder = fresh();
        faulty_disk() = {.fault = fault, .at = at, .is_lasting = is_lasting};
        try {
          run_study(folder);  // SQLite may do without some operations
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kStorage) << error.what();
          ++n_errors;
        }
        faulty_disk() = {};
        run_study(folder);
        ASSERT_EQ(export_of(folder), expected_);
      }
    }
  }
  EXPECT_GT(n_errors, n_operations_);
}

// A file of an older format is brought up to date in one transaction.
TEST_F(AttackedStore, AKillWhileAnOldFormatIsBroughtUpToDateLosesNothing) {
  const fs::path old = root_ / "format1";
  fs::copy(root_ / "undisturbed", old);
  testing::make_format_1(old / "study.db");
  bool is_whole = false;
  int at = 0;
  for (at = 1; !is_whole; ++at) {
    SCOPED_TRACE(at);
    const fs::path folder = fresh();
    fs::copy(old, folder);
    const pid_t child = ::fork();
    if (child == 0) {
      faulty_disk() = {.fault = Fault::kKill, .at = at};
      StudyStore::open_for_writing(folder);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    is_whole = WEXITSTATUS(status) == 0;  // it took fewer operations than this
    faulty_disk() = {};
    run_study(folder);
    ASSERT_EQ(export_of(folder), expected_);
  }
  EXPECT_GT(at, 5);
}

// What a changed byte may do: nothing, or a storage error.
TEST_F(AttackedStore, AChangedByteNeverChangesWhatIsRead) {
  const fs::path folder = fresh();
  fs::create_directories(folder);
  std::ifstream in(root_ / "undisturbed/study.db", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  Dice dice(7);
  int n_refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = whole;
    const size_t at = dice(static_cast<uint32_t>(bytes.size()));
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice(8)));
    std::ofstream(folder / "study.db", std::ios::binary) << bytes;
    SCOPED_TRACE(::testing::Message() << "byte " << at);
    try {
      ASSERT_EQ(export_of(folder), expected_);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kStorage) << error.what();
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 0);
  std::printf("400 changed bytes: %d refused, the rest changed nothing\n", n_refused);
}

}  // namespace
}  // namespace ebb::record
