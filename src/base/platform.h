// Everything that differs between operating systems: mapped files, raw pages, memory and processor
// facts. Linux and macOS; no other file calls the system for these. It decides nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace ebb::platform {

// How a part of a mapped file will be read.
enum class Access { kNormal, kSequential, kRandom, kSoon };

// A regular file, mapped read-only. The file is opened once: what replaces it at its path later is
// never seen.
class MappedFile {
 public:
  // Throws: kStorage when the path is not a readable regular file, or the system cannot map it.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_bytes_}; }
  size_t size_bytes() const { return size_bytes_; }
  // A hint only; a range outside the file is cut.
  void advise(size_t offset, size_t n_bytes, Access access) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// Waits until a file's bytes are on the disk.  Throws: kStorage.
void sync_file(const std::filesystem::path& path);

// Anonymous zeroed memory, page by page.  Requires: sizes and addresses that are multiples of
// system_page_bytes().
size_t system_page_bytes() noexcept;
// Throws: kOutOfMemory.
std::byte* map_pages(size_t n_bytes);
void unmap_pages(std::byte* pages, size_t n_bytes) noexcept;
// Gives the memory back but keeps the addresses; what they hold afterwards is unspecified.
void discard_pages(std::byte* pages, size_t n_bytes) noexcept;

// A hint that large pages would serve this memory well; does nothing where there are none.
void advise_huge_pages(void* begin, size_t n_bytes) noexcept;

// Lets go of the whole pages inside a part of a read-only file mapping; reading them again brings
// them back from the file.
void forget_file_pages(const void* begin, size_t n_bytes) noexcept;

// Starts this program anew with an environment variable set, for libraries that read theirs before
// main. Does nothing where any of `names` is set already, or where the system cannot do it.
void restart_with_setting(std::span<const char* const> names, const char* value,
                          char** argv) noexcept;

struct ProgramResult {
  bool is_found = false;  // the program could be started
  bool is_timed_out = false;
  int exit_code = -1;  // 128 + signal where a signal ended it
  std::string output;  // standard output and error together, the first 64 KiB
};
// Runs another program to its end, found as the shell would but without one: arguments are passed
// as they are. Its input is empty. One that takes longer than `timeout` is killed.
// Requires: argv not empty.  Throws: kBackend when the system has no process or pipe left.
ProgramResult run_program(std::span<const std::string> argv, std::chrono::milliseconds timeout);

// Memory of this process that is in RAM now, and the most it ever was.  0 where unknown.
size_t resident_bytes();
size_t peak_resident_bytes();

struct MemoryStatus {
  uint64_t physical_bytes = 0;
  uint64_t limit_bytes = 0;  // the tightest of physical memory and cgroup limits
  uint64_t available_bytes =
      0;  // what this process can still take without swapping or being killed
};
// Honours cgroup v1 and v2, MemAvailable, and the process's limits on addresses and data.
MemoryStatus memory_status();
// The same from another root folder with proc/ and sys/ in it (tests); no address space limit.
MemoryStatus memory_status_under(const std::filesystem::path& root);

struct CpuInfo {
  std::string brand;                  // "" where unknown
  std::vector<std::string> features;  // as the system spells them, sorted
  int n_usable_cores = 1;             // by affinity and cgroup quota
};
CpuInfo cpu_info();

// The C library and its version, as "glibc-2.36": its sines and exponentials differ by version.
std::string c_library();

}  // namespace ebb::platform
