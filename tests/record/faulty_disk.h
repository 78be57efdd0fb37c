// SQLite's file layer with a fault at the n-th operation that changes a file: the process dies in
// the middle of it, or the system reports an error.
#pragma once

#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace ebb::record::testing {

enum class Fault { kNone, kKill, kFull, kError };

struct FaultyDisk {
  Fault fault = Fault::kNone;
  int at = 0;               // which operation, from 1
  bool is_lasting = false;  // all from there on
  int n_operations = 0;     // so far

  // What the operation must return instead, or SQLITE_OK to go on.
  int next(int error) {
    ++n_operations;
    const bool is_hit =
        fault != Fault::kNone && (n_operations == at || (is_lasting && n_operations > at));
    if (!is_hit) return SQLITE_OK;
    if (fault == Fault::kFull) return SQLITE_FULL;
    return error;
  }
};

inline FaultyDisk& faulty_disk() {
  static FaultyDisk disk;
  return disk;
}

namespace detail {

struct File {
  sqlite3_file base;
  sqlite3_file* real;  // lies behind this object
};
inline sqlite3_vfs* real_vfs = nullptr;
inline sqlite3_file* real_of(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }

inline int file_close(sqlite3_file* f) {
  return real_of(f)->pMethods == nullptr ? SQLITE_OK : real_of(f)->pMethods->xClose(real_of(f));
}
inline int file_read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}
inline int file_write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  const int code = faulty_disk().next(SQLITE_IOERR_WRITE);
  if (code != SQLITE_OK && faulty_disk().fault == Fault::kKill) {
    real_of(f)->pMethods->xWrite(real_of(f), from, n / 2, at);  // a torn write
    ::_exit(137);
  }
  return code != SQLITE_OK ? code : real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
}
inline int file_truncate(sqlite3_file* f, sqlite3_int64 size) {
  const int code = faulty_disk().next(SQLITE_IOERR_TRUNCATE);
  if (code != SQLITE_OK && faulty_disk().fault == Fault::kKill) ::_exit(137);
  return code != SQLITE_OK ? code : real_of(f)->pMethods->xTruncate(real_of(f), size);
}
// Nothing is really synced: the machine stays up, only the process dies.
inline int file_sync(sqlite3_file* /*f*/, int /*flags*/) {
  const int code = faulty_disk().next(SQLITE_IOERR_FSYNC);
  if (code != SQLITE_OK && faulty_disk().fault == Fault::kKill) ::_exit(137);
  return code;
}
inline int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return real_of(f)->pMethods->xFileSize(real_of(f), size);
}
inline int file_lock(sqlite3_file* f, int level) {
  return real_of(f)->pMethods->xLock(real_of(f), level);
}
inline int file_unlock(sqlite3_file* f, int level) {
  return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
inline int file_check_lock(sqlite3_file* f, int* out) {
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
inline int file_control(sqlite3_file* f, int op, void* arg) {
  return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
inline int file_sector(sqlite3_file* f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); }
// Claims nothing, so that SQLite takes every care it has.
inline int file_traits(sqlite3_file* /*f*/) { return 0; }

inline int vfs_open(sqlite3_vfs* /*v*/, const char* name, sqlite3_file* out, int flags, int* got) {
  static const sqlite3_io_methods methods = [] {
    sqlite3_io_methods m{};
    m.iVersion = 1;
    m.xClose = file_close;
    m.xRead = file_read;
    m.xWrite = file_write;
    m.xTruncate = file_truncate;
    m.xSync = file_sync;
    m.xFileSize = file_size;
    m.xLock = file_lock;
    m.xUnlock = file_unlock;
    m.xCheckReservedLock = file_check_lock;
    m.xFileControl = file_control;
    m.xSectorSize = file_sector;
    m.xDeviceCharacteristics = file_traits;
    return m;
  }();
  auto* file = reinterpret_cast<File*>(out);
  file->real = reinterpret_cast<sqlite3_file*>(file + 1);
  const int code = real_vfs->xOpen(real_vfs, name, file->real, flags, got);
  file->base.pMethods = code == SQLITE_OK ? &methods : nullptr;
  return code;
}
inline int vfs_delete(sqlite3_vfs* /*v*/, const char* name, int sync) {
  const int code = faulty_disk().next(SQLITE_IOERR_DELETE);
  if (code != SQLITE_OK && faulty_disk().fault == Fault::kKill) ::_exit(137);
  return code != SQLITE_OK ? code : real_vfs->xDelete(real_vfs, name, sync);
}

}  // namespace detail

// From now on every database of this process lies on the faulty disk.
inline void use_faulty_disk() {
  static sqlite3_vfs vfs = [] {
    detail::real_vfs = sqlite3_vfs_find(nullptr);
    sqlite3_vfs v = *detail::real_vfs;
    v.pNext = nullptr;
    v.zName = "faulty";
    v.szOsFile = static_cast<int>(sizeof(detail::File)) + detail::real_vfs->szOsFile;
    v.xOpen = detail::vfs_open;
    v.xDelete = detail::vfs_delete;
    return v;
  }();
  if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) throw std::runtime_error("no faulty disk");
}

}  // namespace ebb::record::testing
