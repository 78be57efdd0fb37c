#include "record/store.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/sha256.h"

namespace ebb::record {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFileName = "study.db";

constexpr const char* kSchema = R"(
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE conversations(place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE families(conversation TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE units(unit_id TEXT PRIMARY KEY, conversation TEXT NOT NULL, arm TEXT NOT NULL,
                   seed TEXT NOT NULL, json TEXT NOT NULL, sha256 TEXT NOT NULL,
                   UNIQUE(conversation, arm, seed)) WITHOUT ROWID;
CREATE TABLE events(conversation TEXT NOT NULL, place INTEGER NOT NULL, unit_id TEXT NOT NULL,
                    line TEXT NOT NULL, PRIMARY KEY(conversation, place)) WITHOUT ROWID;
)";

// The first line in which two texts differ: what a person changed since the study began.
std::string first_difference(const std::string& before, const std::string& now) {
  std::istringstream old_lines(before);
  std::istringstream new_lines(now);
  std::string a;
  std::string b;
  while (true) {
    const bool has_a = static_cast<bool>(std::getline(old_lines, a));
    const bool has_b = static_cast<bool>(std::getline(new_lines, b));
    if (!has_a && !has_b) return "";
    if (!has_a) a.clear();
    if (!has_b) b.clear();
    if (a != b) return fmt::format("it was begun with '{}', now it is '{}'", a, b);
  }
}

}  // namespace

struct StudyStore::State {
  fs::path path;
  std::optional<FileLock> lock;
  SQLite::Database db;
};

StudyStore::StudyStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
StudyStore::~StudyStore() = default;
StudyStore::StudyStore(StudyStore&&) noexcept = default;

// Every call of the library goes through here, so that its errors name the file.
void StudyStore::execute(const std::function<void()>& action) const {
  try {
    action();
  } catch (const SQLite::Exception& error) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", state_->path.string(), error.what());
  }
}

namespace {

// Reads a record of our own writing: where it cannot be read, the file is damaged.
template <typename Read>
auto read_stored(const fs::path& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error::make(ErrorKind::kStorage, "{}: damaged: {}", path.string(), error.what());
  }
}

void check_file(SQLite::Database& db, const fs::path& path) {
  const int version = db.execAndGet("PRAGMA user_version").getInt();
  if (version > StudyStore::kSchemaVersion) {
    throw Error::make(ErrorKind::kStorage,
                      "{}: written by a newer ebb (format {}, this one reads up to {})",
                      path.string(), version, StudyStore::kSchemaVersion);
  }
  const std::string health = db.execAndGet("PRAGMA quick_check").getString();
  if (health != "ok") {
    throw Error::make(ErrorKind::kStorage, "{}: damaged: {}", path.string(), health);
  }
}

}  // namespace

StudyStore StudyStore::open_for_writing(const fs::path& folder) {
  std::error_code problem;
  fs::create_directories(folder, problem);
  if (problem) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be made: {}", folder.string(),
                      problem.message());
  }
  FileLock lock(folder / "study.lock");
  const fs::path path = folder / kFileName;
  try {
    SQLite::Database db(path.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    db.exec("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;");
    if (!db.tableExists("facts")) {
      SQLite::Transaction transaction(db);
      db.exec(kSchema);
      db.exec(fmt::format("PRAGMA user_version={}", kSchemaVersion));
      transaction.commit();
    }
    check_file(db, path);
    return StudyStore(std::unique_ptr<State>(new State{path, std::move(lock), std::move(db)}));
  } catch (const SQLite::Exception& error) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), error.what());
  }
}

StudyStore StudyStore::open_for_reading(const fs::path& folder) {
  const fs::path path = folder / kFileName;
  if (!fs::is_regular_file(path)) {
    throw Error::make(ErrorKind::kStorage, "{}: no study here (no {})", folder.string(), kFileName);
  }
  try {
    SQLite::Database db(path.string(), SQLite::OPEN_READONLY);
    check_file(db, path);
    return StudyStore(std::unique_ptr<State>(new State{path, std::nullopt, std::move(db)}));
  } catch (const SQLite::Exception& error) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), error.what());
  }
}

namespace {

std::optional<std::string> fact(const SQLite::Database& db, const char* name) {
  SQLite::Statement query(db, "SELECT value FROM facts WHERE name = ?");
  query.bind(1, name);
  if (!query.executeStep()) return std::nullopt;
  return query.getColumn(0).getString();
}

void put_fact(SQLite::Database& db, const char* name, const std::string& value) {
  SQLite::Statement insert(db, "INSERT INTO facts VALUES(?, ?)");
  insert.bind(1, name);
  insert.bind(2, value);
  insert.exec();
}

}  // namespace

bool StudyStore::has_study() const {
  bool has = false;
  execute([&] { has = fact(state_->db, "study").has_value(); });
  return has;
}

void StudyStore::begin(const StudyInfo& study, std::span<const ConversationText> conversations,
                       const std::string& resolved) {
  if (has_study()) {
    std::string difference = first_difference(this->resolved(), resolved);
    // The file may be the same and the model, the data or the machine another.
    if (difference.empty() && to_json(this->study()) != to_json(study)) {
      difference = first_difference(to_json(this->study()), to_json(study));
    }
    if (difference.empty()) return;
    throw Error::make(ErrorKind::kUsage,
                      "{}: holds another study: {}. Give another --out, or the settings it was "
                      "begun with",
                      state_->path.string(), difference);
  }
  execute([&] {
    SQLite::Transaction transaction(state_->db);
    put_fact(state_->db, "study", to_json(study));
    put_fact(state_->db, "resolved", resolved);
    SQLite::Statement insert(state_->db, "INSERT INTO conversations VALUES(?, ?, ?)");
    int64_t place = 0;
    for (const ConversationText& conversation : conversations) {
      insert.bind(1, place++);
      insert.bind(2, conversation.id);
      insert.bind(3, to_json(conversation));
      insert.exec();
      insert.reset();
    }
    transaction.commit();
  });
}

StudyInfo StudyStore::study() const {
  std::optional<std::string> text;
  execute([&] { text = fact(state_->db, "study"); });
  if (!text) {
    throw Error::make(ErrorKind::kStorage, "{}: holds no study yet", state_->path.string());
  }
  return read_stored(state_->path, [&] { return study_from_json(*text); });
}

std::string StudyStore::resolved() const {
  std::optional<std::string> text;
  execute([&] { text = fact(state_->db, "resolved"); });
  return text.value_or("");
}

std::vector<ConversationText> StudyStore::conversations() const {
  std::vector<ConversationText> out;
  execute([&] {
    SQLite::Statement query(state_->db, "SELECT json FROM conversations ORDER BY place");
    while (query.executeStep()) {
      const std::string json = query.getColumn(0).getString();
      out.push_back(read_stored(state_->path, [&] { return conversation_from_json(json); }));
    }
  });
  return out;
}

void StudyStore::commit_family(const std::string& conversation, std::span<const UnitRecord> units,
                               std::span<const EventLine> events) {
  for (const UnitRecord& unit : units) EBB_CHECK(unit.conversation == conversation);
  execute([&] {
    SQLite::Transaction transaction(state_->db);
    SQLite::Statement family(state_->db, "INSERT INTO families VALUES(?)");
    family.bind(1, conversation);
    family.exec();
    SQLite::Statement insert(state_->db, "INSERT INTO units VALUES(?, ?, ?, ?, ?, ?)");
    for (const UnitRecord& unit : units) {
      const std::string json = to_json(unit);
      insert.bind(1, unit.unit_id);
      insert.bind(2, unit.conversation);
      insert.bind(3, unit.arm);
      insert.bind(4, std::to_string(unit.seed));
      insert.bind(5, json);
      insert.bind(6, sha256_hex(json));
      insert.exec();
      insert.reset();
    }
    SQLite::Statement event(state_->db, "INSERT INTO events VALUES(?, ?, ?, ?)");
    int64_t place = 0;
    for (const EventLine& line : events) {
      event.bind(1, conversation);
      event.bind(2, place++);
      event.bind(3, line.unit_id);
      event.bind(4, line.line);
      event.exec();
      event.reset();
    }
    transaction.commit();
  });
}

std::set<std::string> StudyStore::finished_conversations() const {
  std::set<std::string> out;
  execute([&] {
    SQLite::Statement query(state_->db, "SELECT conversation FROM families");
    while (query.executeStep()) out.insert(query.getColumn(0).getString());
  });
  return out;
}

size_t StudyStore::n_units() const {
  int64_t n = 0;
  execute([&] { n = state_->db.execAndGet("SELECT count(*) FROM units").getInt64(); });
  return static_cast<size_t>(n);
}

std::vector<UnitRecord> StudyStore::units() const {
  std::vector<UnitRecord> out;
  execute([&] {
    SQLite::Statement query(state_->db, "SELECT unit_id, json, sha256 FROM units");
    while (query.executeStep()) {
      const std::string json = query.getColumn(1).getString();
      if (sha256_hex(json) != query.getColumn(2).getString()) {
        throw Error::make(ErrorKind::kStorage, "{}: damaged: unit {} is not what was written",
                          state_->path.string(), query.getColumn(0).getString());
      }
      out.push_back(unit_from_json(json));
    }
  });
  const StudyInfo info = study();
  std::map<std::string, size_t> arms;
  for (const ArmInfo& arm : info.arms) arms.emplace(arm.name, arms.size());
  std::map<std::string, size_t> places;
  for (const ConversationText& c : conversations()) places.emplace(c.id, places.size());
  std::sort(out.begin(), out.end(), [&](const UnitRecord& a, const UnitRecord& b) {
    return std::tuple(places[a.conversation], arms[a.arm], a.seed) <
           std::tuple(places[b.conversation], arms[b.arm], b.seed);
  });
  return out;
}

std::vector<EventLine> StudyStore::events_of(const std::string& conversation) const {
  std::vector<EventLine> out;
  execute([&] {
    SQLite::Statement query(
        state_->db, "SELECT unit_id, line FROM events WHERE conversation = ? ORDER BY place");
    query.bind(1, conversation);
    while (query.executeStep()) {
      out.push_back({query.getColumn(0).getString(), query.getColumn(1).getString()});
    }
  });
  return out;
}

void StudyStore::for_each_event(const std::function<void(std::string_view line)>& visit) const {
  const std::set<std::string> finished = finished_conversations();
  for (const ConversationText& conversation : conversations()) {
    if (!finished.contains(conversation.id)) continue;
    for (const EventLine& event : events_of(conversation.id)) visit(event.line);
  }
}

void StudyStore::merge(const StudyStore& other) {
  begin(other.study(), other.conversations(), other.resolved());
  std::map<std::string, std::vector<UnitRecord>> theirs;
  for (UnitRecord& unit : other.units()) theirs[unit.conversation].push_back(std::move(unit));
  std::map<std::string, std::string> ours;  // unit -> digest
  for (const UnitRecord& unit : units()) ours[unit.unit_id] = unit.digest;
  const std::set<std::string> here = finished_conversations();
  for (const std::string& conversation : other.finished_conversations()) {
    if (!here.contains(conversation)) {
      commit_family(conversation, theirs[conversation], other.events_of(conversation));
      continue;
    }
    for (const UnitRecord& unit : theirs[conversation]) {
      if (ours[unit.unit_id] == unit.digest) continue;
      throw Error::make(ErrorKind::kUsage,
                        "unit {} ({}, {}) is in both folders with different results: they were "
                        "not made alike",
                        unit.unit_id, unit.conversation, unit.arm);
    }
  }
}

}  // namespace ebb::record
