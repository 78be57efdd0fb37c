// Puts the shards of a study together: StudyStore::merge.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "record/store.h"

namespace ebb::record {
namespace {

using UnitsOf = std::map<std::string, std::vector<UnitRecord>>;  // by conversation

void check_same_conversations(const StudyStore& mine, const StudyStore& other) {
  const std::vector<ConversationText> here = mine.conversations();
  const std::vector<ConversationText> there = other.conversations();
  for (size_t i = 0; i < std::max(here.size(), there.size()); ++i) {
    const std::string a = i < here.size() ? to_json(here[i]) : "nothing";
    const std::string b = i < there.size() ? to_json(there[i]) : "nothing";
    if (a == b) continue;
    throw Error::make(ErrorKind::kUsage,
                      "the folders hold different conversations: number {} is {:.200} in one and "
                      "{:.200} in the other",
                      i + 1, a, b);
  }
}

void check_same_results(const StudyStore& mine, const UnitsOf& theirs) {
  std::map<std::string, std::string> digests;
  for (const UnitRecord& unit : mine.units()) digests[unit.unit_id] = unit.digest;
  for (const std::string& conversation : mine.finished_conversations()) {
    const auto found = theirs.find(conversation);
    if (found == theirs.end()) continue;
    for (const UnitRecord& unit : found->second) {
      const auto same = digests.find(unit.unit_id);
      if (same != digests.end() && same->second == unit.digest) continue;
      throw Error::make(ErrorKind::kUsage,
                        "unit {} ({}, {}) is in both folders with different results: they were "
                        "not made alike",
                        unit.unit_id, unit.conversation, unit.arm);
    }
  }
}

}  // namespace

void StudyStore::merge(const StudyStore& other, Machines machines) {
  if (machines == Machines::kOne) other.check_one_machine();
  begin(other.study(), other.conversations(), other.resolved(), machines);
  UnitsOf theirs;
  for (UnitRecord& unit : other.units()) theirs[unit.conversation].push_back(std::move(unit));
  check_same_conversations(*this, other);
  check_same_results(*this, theirs);
  const std::set<std::string> here = finished_conversations();
  for (const std::string& conversation : other.finished_conversations()) {
    if (here.contains(conversation)) continue;
    write_family(conversation, theirs[conversation], other.events_of(conversation),
                 other.fingerprint_of(conversation));
  }
}

}  // namespace ebb::record
