#include "record/store_file.h"

#include <set>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"
#include "record/store.h"

namespace ebb::record {
namespace {

constexpr const char* kSchema = R"(
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL, sha256 TEXT NOT NULL DEFAULT '')
                   WITHOUT ROWID;
CREATE TABLE conversations(place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE families(conversation TEXT PRIMARY KEY, fingerprint TEXT NOT NULL DEFAULT '',
                      units_sha256 TEXT NOT NULL DEFAULT '', events_sha256 TEXT NOT NULL DEFAULT '')
                      WITHOUT ROWID;
CREATE TABLE units(unit_id TEXT PRIMARY KEY, conversation TEXT NOT NULL, arm TEXT NOT NULL,
                   seed TEXT NOT NULL, json TEXT NOT NULL, sha256 TEXT NOT NULL,
                   UNIQUE(conversation, arm, seed)) WITHOUT ROWID;
CREATE TABLE events(conversation TEXT NOT NULL, place INTEGER NOT NULL, unit_id TEXT NOT NULL,
                    line TEXT NOT NULL, PRIMARY KEY(conversation, place)) WITHOUT ROWID;
)";

constexpr const char* kUpgradeFrom1 = R"(
ALTER TABLE facts ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN units_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN events_sha256 TEXT NOT NULL DEFAULT '';
)";

void set_version(SQLite::Database& db) {
  db.exec(fmt::format("PRAGMA user_version={}", StudyStore::kSchemaVersion));
}

bool has_digests(const SQLite::Database& db) {
  SQLite::Statement query(db, "SELECT 1 FROM pragma_table_info('facts') WHERE name = 'sha256'");
  return query.executeStep();
}

// Fields with their lengths, so that no two lists of fields look alike.
class FieldDigest {
 public:
  void add(const std::string& field) { sum_.update(fmt::format("{}:{}", field.size(), field)); }
  std::string hex() { return sum_.hex(); }

 private:
  Sha256 sum_;
};

// Of all columns of all rows.
std::string rows_digest(SQLite::Statement& query) {
  FieldDigest digest;
  while (query.executeStep()) {
    for (int i = 0; i < query.getColumnCount(); ++i) digest.add(query.getColumn(i).getString());
  }
  return digest.hex();
}

std::string fact_digest(const std::string& name, const std::string& value) {
  FieldDigest digest;
  digest.add(name);
  digest.add(value);
  return digest.hex();
}

void replace_fact(SQLite::Database& db, const std::string& name, const std::string& value) {
  SQLite::Statement insert(db, "INSERT OR REPLACE INTO facts VALUES(?, ?, ?)");
  insert.bind(1, name);
  insert.bind(2, value);
  insert.bind(3, fact_digest(name, value));
  insert.exec();
}

std::vector<std::string> column(const SQLite::Database& db, const std::string& sql) {
  std::vector<std::string> out;
  SQLite::Statement query(db, sql);
  while (query.executeStep()) out.push_back(query.getColumn(0).getString());
  return out;
}

void upgrade_from_1(SQLite::Database& db) {
  SQLite::Transaction transaction(db);
  db.exec(kUpgradeFrom1);
  for (const std::string& name : column(db, "SELECT name FROM facts")) {
    SQLite::Statement query(db, "SELECT value FROM facts WHERE name = ?");
    query.bind(1, name);
    if (!query.executeStep()) continue;
    const std::string value = query.getColumn(0).getString();
    query.reset();
    replace_fact(db, name, value);
    if (name != "study") continue;
    put_fact(db, kConversationsFact, conversations_digest(db));
    SQLite::Statement update(db, "UPDATE families SET fingerprint = ?");
    update.bind(1, study_from_json(value).fingerprint);
    update.exec();
  }
  for (const std::string& conversation : column(db, "SELECT conversation FROM families")) {
    seal_family(db, conversation);
  }
  set_version(db);
  transaction.commit();
}

}  // namespace

void prepare_tables(SQLite::Database& db) {
  if (!db.tableExists("facts")) {
    SQLite::Transaction transaction(db);
    db.exec(kSchema);
    set_version(db);
    transaction.commit();
  } else if (db.execAndGet("PRAGMA user_version").getInt() == 1) {
    upgrade_from_1(db);
  }
}

int checked_version(SQLite::Database& db, const std::filesystem::path& path) {
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
  // The version must not say that there is nothing to check.
  const bool is_made = db.tableExists("facts");
  if (is_made && (version < 1 || has_digests(db) != (version >= kFirstVersionWithDigests))) {
    throw Error::make(ErrorKind::kStorage, "{}: damaged: its tables are not those of format {}",
                      path.string(), version);
  }
  return version;
}

std::optional<std::string> fact(const SQLite::Database& db, const std::filesystem::path& path,
                                const std::string& name) {
  const bool is_checked = has_digests(db);
  SQLite::Statement query(db, is_checked ? "SELECT value, sha256 FROM facts WHERE name = ?"
                                         : "SELECT value FROM facts WHERE name = ?");
  query.bind(1, name);
  if (!query.executeStep()) return std::nullopt;
  std::string value = query.getColumn(0).getString();
  if (is_checked && query.getColumn(1).getString() != fact_digest(name, value)) {
    throw Error::make(ErrorKind::kStorage, "{}: damaged: '{}' is not what was written",
                      path.string(), name);
  }
  return value;
}

void put_fact(SQLite::Database& db, const std::string& name, const std::string& value) {
  SQLite::Statement insert(db, "INSERT INTO facts VALUES(?, ?, ?)");
  insert.bind(1, name);
  insert.bind(2, value);
  insert.bind(3, fact_digest(name, value));
  insert.exec();
}

std::string conversations_digest(const SQLite::Database& db) {
  SQLite::Statement query(db, "SELECT id, json FROM conversations ORDER BY place");
  return rows_digest(query);
}

std::string units_digest(const SQLite::Database& db, const std::string& conversation) {
  SQLite::Statement query(
      db,
      "SELECT f.fingerprint, u.unit_id, u.conversation, u.arm, u.seed, u.sha256 "
      "FROM units u JOIN families f USING(conversation) "
      "WHERE u.conversation = ? ORDER BY u.unit_id");
  query.bind(1, conversation);
  return rows_digest(query);
}

std::string events_digest(const SQLite::Database& db, const std::string& conversation) {
  SQLite::Statement query(
      db, "SELECT conversation, unit_id, line FROM events WHERE conversation = ? ORDER BY place");
  query.bind(1, conversation);
  return rows_digest(query);
}

void seal_family(SQLite::Database& db, const std::string& conversation) {
  SQLite::Statement update(
      db, "UPDATE families SET units_sha256 = ?, events_sha256 = ? WHERE conversation = ?");
  update.bind(1, units_digest(db, conversation));
  update.bind(2, events_digest(db, conversation));
  update.bind(3, conversation);
  update.exec();
}

}  // namespace ebb::record
