#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace ebb {

FileLock::FileLock(const std::filesystem::path& path)
    : file_(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666)) {
  if (file_ < 0) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be made: {}", path.string(),
                      std::strerror(errno));
  }
  if (flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  const int problem = errno;
  close(std::exchange(file_, -1));
  if (problem == EWOULDBLOCK) {
    throw Error::make(ErrorKind::kStorage,
                      "{}: another process writes into this folder; wait for it, or use another "
                      "folder",
                      path.parent_path().string());
  }
  throw Error::make(ErrorKind::kStorage, "{}: cannot be locked: {}", path.string(),
                    std::strerror(problem));
}

FileLock::~FileLock() {
  if (file_ >= 0) close(file_);
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

}  // namespace ebb
