// The record of a study on disk: one SQLite file in the study's folder. A family (a conversation
// with all its arms and seeds) is written in one transaction or not at all; what is written is
// never changed. One process writes a folder; to run in parallel, use shards in folders of their
// own. Rollback journal and synchronous=FULL: WAL breaks on network file systems.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "record/study_records.h"

namespace ebb::record {

// One eviction event as a line of JSON, and the unit that it belongs to.
struct EventLine {
  std::string unit_id;
  std::string line;
};

// Whether units of several numerics fingerprints (machines or builds) may lie in one study. Within
// one, `strict` promises equal bits; across several it does not.
enum class Machines { kOne, kAny };

class StudyStore {
 public:
  static constexpr int kSchemaVersion = 2;

  // Makes the folder and the file where there are none, and takes the folder's lock.
  // Throws: kStorage (locked, not writable, damaged, newer schema).
  static StudyStore open_for_writing(const std::filesystem::path& folder);
  // Throws: kStorage where there is no study, or it is damaged or newer.
  static StudyStore open_for_reading(const std::filesystem::path& folder);
  ~StudyStore();
  StudyStore(StudyStore&&) noexcept;

  bool has_study() const;
  // Fixes what the study is, once. `resolved` is the study file with every default. A second time
  // everything must be the same, but for the fingerprint where any machine will do. What is
  // committed from here on has the study's fingerprint.
  // Throws: kUsage with both fingerprints or the first line that differs.
  void begin(const StudyInfo& study, std::span<const ConversationText> conversations,
             const std::string& resolved, Machines machines = Machines::kOne);
  StudyInfo study() const;
  std::vector<ConversationText> conversations() const;  // in the order of the data
  std::string resolved() const;

  // Throws: kStorage; then nothing of the family is stored. kInternal for a unit that is there.
  void commit_family(const std::string& conversation, std::span<const UnitRecord> units,
                     std::span<const EventLine> events);
  // Conversations whose units are all there.
  std::set<std::string> finished_conversations() const;
  // In the order of conversations, arms and seeds, however they were written.  Throws: kStorage for
  // a record that is not what was written.
  std::vector<UnitRecord> units() const;
  size_t n_units() const;
  // Of a finished family; of all.
  std::string fingerprint_of(const std::string& conversation) const;
  std::set<std::string> fingerprints() const;
  // Throws: kUsage, naming all, where units of several machines would be compared.
  void check_one_machine() const;
  // Every event line, in the order of units and of time.  Throws: as units().
  void for_each_event(const std::function<void(std::string_view line)>& visit) const;
  // Takes over every family of another store of the same study.  Throws: kUsage with the first
  // thing that differs, where the studies, their conversations or the machines do, or a unit is in
  // both with other results; then nothing was taken over.
  void merge(const StudyStore& other, Machines machines = Machines::kOne);

 private:
  struct State;
  explicit StudyStore(std::unique_ptr<State> state);
  void execute(const std::function<void()>& action) const;
  void check_same(const StudyInfo& study, const std::string& resolved, Machines machines) const;
  void write_family(const std::string& conversation, std::span<const UnitRecord> units,
                    std::span<const EventLine> events, const std::string& fingerprint);
  // Throws: kStorage where a finished family's units are not those that were written.
  void check_units_of(const std::string& conversation) const;
  std::vector<EventLine> events_of(const std::string& conversation) const;
  std::unique_ptr<State> state_;
};

}  // namespace ebb::record
