// A study as format 1 stored it: no digests but those of units.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>

namespace ebb::record::testing {

inline void make_format_1(const std::filesystem::path& file) {
  SQLite::Database db(file.string(), SQLite::OPEN_READWRITE);
  db.exec(
      "DELETE FROM facts WHERE name = 'conversations_sha256';"
      "ALTER TABLE facts DROP COLUMN sha256; ALTER TABLE families DROP COLUMN fingerprint;"
      "ALTER TABLE families DROP COLUMN units_sha256;"
      "ALTER TABLE families DROP COLUMN events_sha256; PRAGMA user_version = 1");
}

}  // namespace ebb::record::testing
