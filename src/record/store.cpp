#include "record/store.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/sha256.h"
#include "record/json_fields.h"
#include "record/store_file.h"

namespace ebb::record {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFileName = "study.db";

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

// The first field in which two stored studies differ.
std::string first_field_difference(const StudyInfo& before, const StudyInfo& now) {
  const Json a = parse_record(to_json(before));
  const Json b = parse_record(to_json(now));
  for (const auto& [name, value] : a.items()) {
    const std::string now_text = b.contains(name) ? b.at(name).dump() : "nothing";
    if (now_text == value.dump()) continue;
    return fmt::format("it was begun with {} = {:.200}, now it is {:.200}", name, value.dump(),
                       now_text);
  }
  return "";
}

}  // namespace

struct StudyStore::State {
  fs::path path;
  std::optional<FileLock> lock;
  SQLite::Database db;
  int version = kSchemaVersion;
  std::optional<std::string> fingerprint = {};  // of what is committed; the study's own by default

  bool has_digests() const { return version >= kFirstVersionWithDigests; }
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

Error damaged(const fs::path& path, const std::string& what) {
  return Error::make(ErrorKind::kStorage, "{}: damaged: {}", path.string(), what);
}

// Reads a record of our own writing: where it cannot be read, the file is damaged.
template <typename Read>
auto read_stored(const fs::path& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw damaged(path, error.what());
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
    checked_version(db, path);
    prepare_tables(db);
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
    const int version = checked_version(db, path);
    return StudyStore(
        std::unique_ptr<State>(new State{path, std::nullopt, std::move(db), version}));
  } catch (const SQLite::Exception& error) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), error.what());
  }
}

bool StudyStore::has_study() const {
  bool has = false;
  execute([&] { has = fact(state_->db, state_->path, "study").has_value(); });
  return has;
}

void StudyStore::check_same(const StudyInfo& study, const std::string& resolved,
                            Machines machines) const {
  const StudyInfo before = this->study();
  std::string difference = first_difference(this->resolved(), resolved);
  if (difference.empty()) {
    // The file may be the same and the model or the data another.
    StudyInfo now = study;
    now.fingerprint = before.fingerprint;
    if (!before.inputs) now.inputs.reset();
    difference = first_field_difference(before, now);
  }
  if (!difference.empty()) {
    throw Error::make(ErrorKind::kUsage,
                      "{}: holds another study: {}. Give another --out, or the settings it was "
                      "begun with",
                      state_->path.string(), difference);
  }
  if (machines == Machines::kOne && before.fingerprint != study.fingerprint) {
    throw Error::make(ErrorKind::kUsage,
                      "{}: computed on {}, and now on {}: other machines and builds round "
                      "otherwise. Give another --out, or --any-machine to mix them",
                      state_->path.string(), before.fingerprint, study.fingerprint);
  }
}

void StudyStore::begin(const StudyInfo& study, std::span<const ConversationText> conversations,
                       const std::string& resolved, Machines machines) {
  state_->fingerprint = study.fingerprint;
  if (has_study()) return check_same(study, resolved, machines);
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
    put_fact(state_->db, kConversationsFact, conversations_digest(state_->db));
    transaction.commit();
  });
}

StudyInfo StudyStore::study() const {
  std::optional<std::string> text;
  execute([&] { text = fact(state_->db, state_->path, "study"); });
  if (!text) {
    throw Error::make(ErrorKind::kStorage, "{}: holds no study yet", state_->path.string());
  }
  return read_stored(state_->path, [&] { return study_from_json(*text); });
}

std::string StudyStore::resolved() const {
  std::optional<std::string> text;
  execute([&] { text = fact(state_->db, state_->path, "resolved"); });
  return text.value_or("");
}

std::vector<ConversationText> StudyStore::conversations() const {
  std::vector<ConversationText> out;
  execute([&] {
    if (state_->has_digests() &&
        fact(state_->db, state_->path, kConversationsFact) != conversations_digest(state_->db)) {
      throw damaged(state_->path, "the conversations are not those that were written");
    }
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
  write_family(conversation, units, events,
               state_->fingerprint ? *state_->fingerprint : study().fingerprint);
}

void StudyStore::write_family(const std::string& conversation, std::span<const UnitRecord> units,
                              std::span<const EventLine> events, const std::string& fingerprint) {
  for (const UnitRecord& unit : units) EBB_CHECK(unit.conversation == conversation);
  execute([&] {
    SQLite::Transaction transaction(state_->db);
    SQLite::Statement family(state_->db,
                             "INSERT INTO families(conversation, fingerprint) VALUES(?, ?)");
    family.bind(1, conversation);
    family.bind(2, fingerprint);
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
    seal_family(state_->db, conversation);
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

std::string StudyStore::fingerprint_of(const std::string& conversation) const {
  if (!state_->has_digests()) return study().fingerprint;
  std::string out;
  execute([&] {
    SQLite::Statement query(state_->db, "SELECT fingerprint FROM families WHERE conversation = ?");
    query.bind(1, conversation);
    if (query.executeStep()) out = query.getColumn(0).getString();
  });
  return out;
}

std::set<std::string> StudyStore::fingerprints() const {
  std::set<std::string> out;
  for (const std::string& conversation : finished_conversations()) {
    out.insert(fingerprint_of(conversation));
  }
  return out;
}

void StudyStore::check_one_machine() const {
  const std::set<std::string> all = fingerprints();
  if (all.size() < 2) return;
  throw Error::make(
      ErrorKind::kUsage,
      "{}: its units were computed on {}: other machines and builds round otherwise, "
      "so a difference may be theirs. Give --any-machine to compare them all the same",
      state_->path.string(), fmt::join(all, " and on "));
}

void StudyStore::check_units_of(const std::string& conversation) const {
  if (!state_->has_digests()) return;
  SQLite::Statement query(state_->db, "SELECT units_sha256 FROM families WHERE conversation = ?");
  query.bind(1, conversation);
  if (query.executeStep() &&
      query.getColumn(0).getString() == units_digest(state_->db, conversation)) {
    return;
  }
  throw damaged(state_->path,
                fmt::format("the units of '{}' are not those that were written", conversation));
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
        throw damaged(state_->path, fmt::format("unit {} is not what was written",
                                                query.getColumn(0).getString()));
      }
      out.push_back(unit_from_json(json));
    }
    std::set<std::string> of = finished_conversations();
    for (const UnitRecord& unit : out) of.insert(unit.conversation);
    for (const std::string& conversation : of) check_units_of(conversation);
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
    if (!state_->has_digests()) return;
    SQLite::Statement digest(state_->db,
                             "SELECT events_sha256 FROM families WHERE conversation = ?");
    digest.bind(1, conversation);
    if (!digest.executeStep() ||
        digest.getColumn(0).getString() != events_digest(state_->db, conversation)) {
      throw damaged(state_->path, fmt::format("the events of '{}' are not those that were written",
                                              conversation));
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

}  // namespace ebb::record
