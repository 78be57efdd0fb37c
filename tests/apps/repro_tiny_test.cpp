// One unit computed again, and studies whose units come from several machines.
#include <SQLiteCpp/SQLiteCpp.h>

#include "apps/study_process.h"
#include "base/sha256.h"
#include "record/store.h"
#include "record/store_file.h"

namespace ebb::app {
namespace {

using ::testing::AllOf;
using testing::EbbEnd;
using ::testing::HasSubstr;

class Repro : public testing::StudyProcess {
 protected:
  Repro() {
    write("data.json", testing::conversations_text(2));
    EXPECT_EQ(ebb(run_arguments("out")).exit_code, 0);
  }
  std::vector<record::UnitRecord> units() const {
    return record::StudyStore::open_for_reading(in_folder("out")).units();
  }
  EbbEnd repro(const std::string& unit, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"repro", in_folder("out"), unit, "--threads", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ebb(arguments);
  }
  // Changes the database as its own writer would: with the digests that belong to it.
  template <typename Change>
  void change_database(Change change) const {
    SQLite::Database db(in_folder("out/study.db"), SQLite::OPEN_READWRITE);
    change(db);
    for (const char* conversation : {"c0", "c1"}) record::seal_family(db, conversation);
  }
  std::string fingerprint() const {
    return record::StudyStore::open_for_reading(in_folder("out")).study().fingerprint;
  }
};

TEST_F(Repro, EveryUnitComesOutTheSame) {
  for (const record::UnitRecord& unit : units()) {
    const EbbEnd end = repro(unit.unit_id);
    EXPECT_EQ(end.exit_code, 0) << unit.arm << ": " << end.said;
    EXPECT_THAT(end.said, HasSubstr("the same record, digest " + unit.digest));
  }
}

TEST_F(Repro, ARecordThatIsOtherwiseIsShownWithItsPlace) {
  record::UnitRecord unit = units().front();
  unit.turns.back().reply += "!";
  change_database([&](SQLite::Database& db) {
    const std::string json = record::to_json(unit);
    SQLite::Statement update(db, "UPDATE units SET json = ?, sha256 = ? WHERE unit_id = ?");
    update.bind(1, json);
    update.bind(2, sha256_hex(json));
    update.bind(3, unit.unit_id);
    update.exec();
  });
  const EbbEnd end = repro(unit.unit_id);
  EXPECT_EQ(end.exit_code, 1) << end.said;
  EXPECT_THAT(end.said, AllOf(HasSubstr("came out otherwise"), HasSubstr("/turns/1/reply")));
}

TEST_F(Repro, WhatCannotBeTheSameIsSaidBeforeAnythingIsComputed) {
  const std::string id = units().front().unit_id;
  EXPECT_THAT(repro("zz").said, HasSubstr("found no unit 'zz'"));
  EXPECT_EQ(repro("zz").exit_code, 2);
  EXPECT_THAT(repro("").said, HasSubstr("give more of the id"));
  const EbbEnd other_model =
      repro(id, {"--model", std::string(EBB_FIXTURES) + "/tiny/qwen3-f32.gguf"});
  EXPECT_EQ(other_model.exit_code, 2);
  EXPECT_THAT(other_model.said, HasSubstr("SHA-256"));
  const EbbEnd other_cells = repro(id, {"--cells", "f32"});
  EXPECT_EQ(other_cells.exit_code, 2);
  EXPECT_THAT(other_cells.said, HasSubstr("--cells"));
  EXPECT_EQ(repro(id.substr(0, 8)).exit_code, 0);
}

// A unit of another machine, one study of two machines: refused with both names, unless asked for.
TEST_F(Repro, AnotherMachineIsRefusedUnlessAskedFor) {
  change_database([](SQLite::Database& db) {
    db.exec("UPDATE families SET fingerprint = 'avx9/strict' WHERE conversation = 'c1'");
  });
  const auto both =
      AllOf(HasSubstr("avx9/strict"), HasSubstr(fingerprint()), HasSubstr("--any-machine"));
  const std::string id = units().back().unit_id;
  const std::string out = in_folder("out");
  const std::vector<std::vector<std::string>> commands = {
      {"repro", out, id},
      {"report", out},
      {"score", out},
      {"merge", out, "--out", in_folder("merged")}};
  for (std::vector<std::string> command : commands) {
    SCOPED_TRACE(command.front());
    const EbbEnd refused = ebb(command);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.said, both);
    command.emplace_back("--any-machine");
    const EbbEnd done = ebb(command);
    EXPECT_EQ(done.exit_code, 0) << done.said;
  }
  EXPECT_THAT(testing::text_of(in_folder("out/report/report.html")), HasSubstr("avx9/strict"));
}

TEST_F(Repro, GoingOnOnAnotherMachineIsRefusedUnlessAskedFor) {
  const std::string here = fingerprint();
  SQLite::Database db(in_folder("out/study.db"), SQLite::OPEN_READWRITE);
  record::StudyInfo info = record::StudyStore::open_for_reading(in_folder("out")).study();
  info.fingerprint = "avx9/strict";
  db.exec("DELETE FROM facts WHERE name = 'study'");
  record::put_fact(db, "study", record::to_json(info));
  db.exec("UPDATE families SET fingerprint = 'avx9/strict'");
  for (const char* table : {"families", "units", "events"}) {
    db.exec(std::string("DELETE FROM ") + table + " WHERE conversation = 'c1'");
  }
  record::seal_family(db, "c0");
  const EbbEnd refused = ebb(run_arguments("out"));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.said, AllOf(HasSubstr("avx9/strict"), HasSubstr(here)));
  const EbbEnd done = ebb(run_arguments("out", {}, {"--any-machine"}));
  EXPECT_EQ(done.exit_code, 0) << done.said;
  EXPECT_EQ(record::StudyStore::open_for_reading(in_folder("out")).fingerprints().size(), 2U);
}

}  // namespace
}  // namespace ebb::app
