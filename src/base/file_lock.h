// One writer per folder: an advisory lock that the system drops when the process ends, however it
// ends.
#pragma once

#include <filesystem>

namespace ebb {

class FileLock {
 public:
  // Throws: kStorage where another process holds the lock, or the file cannot be made.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  int file_ = -1;
};

}  // namespace ebb
