// The SQLite file behind StudyStore: its tables, its versions, and the digests that tell whether
// what is read is what was written. Internal to record.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <optional>
#include <string>

namespace ebb::record {

// Files of version 1 have no digests but those of units.
inline constexpr int kFirstVersionWithDigests = 2;

// Makes the tables where there are none and brings those of an older version up to date, each in
// one transaction.
void prepare_tables(SQLite::Database& db);
// The version of a sound file; 0 where it has no tables yet.  Throws: kStorage (newer, damaged).
int checked_version(SQLite::Database& db, const std::filesystem::path& path);

// A stored text by name; nothing where there is none.  Throws: kStorage where its digest differs.
std::optional<std::string> fact(const SQLite::Database& db, const std::filesystem::path& path,
                                const std::string& name);
void put_fact(SQLite::Database& db, const std::string& name, const std::string& value);

// Of all conversations, in their order.
std::string conversations_digest(const SQLite::Database& db);
// Of a family's fingerprint and its units' names and digests; of its event lines.
std::string units_digest(const SQLite::Database& db, const std::string& conversation);
std::string events_digest(const SQLite::Database& db, const std::string& conversation);
// Writes both into the family's row.
void seal_family(SQLite::Database& db, const std::string& conversation);

// The name of the fact that holds conversations_digest().
inline constexpr const char* kConversationsFact = "conversations_sha256";

}  // namespace ebb::record
