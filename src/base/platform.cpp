#include "base/platform.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sched.h>
#endif
#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "base/error.h"

namespace ebb::platform {
namespace {

namespace fs = std::filesystem;

std::string system_message(int code) { return std::generic_category().message(code); }

// Closes the descriptor of an open file; a mapping outlives it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[maybe_unused]] std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

// The number in a file such as memory.max; nothing for "max", a missing file or other text.
[[maybe_unused]] std::optional<uint64_t> number_in(const fs::path& path) {
  const auto line = first_line(path);
  if (!line || line->empty() || line->front() < '0' || line->front() > '9') return std::nullopt;
  return std::strtoull(line->c_str(), nullptr, 10);
}

// The number behind a name at the start of a line ("MemAvailable:  123 kB", "inactive_file 4096").
[[maybe_unused]] std::optional<uint64_t> field_in(const fs::path& path, const std::string& name) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, name.size(), name) != 0 || line.size() == name.size()) continue;
    const char after = line[name.size()];
    if (after != ' ' && after != ':' && after != '\t') continue;
    return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10);
  }
  return std::nullopt;
}

struct CgroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  // in memory.stat: page cache that goes away under pressure
};
constexpr CgroupFiles kVersion2{"memory.max", "memory.current", "inactive_file"};
constexpr CgroupFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes",
                                "total_inactive_file"};

// Tightens `status` by one cgroup folder and all folders above it up to the mount point.
void apply_cgroup(const fs::path& mount, const std::string& group, const CgroupFiles& files,
                  MemoryStatus& status) {
  fs::path relative = fs::path(group).relative_path();
  while (true) {
    const fs::path folder = mount / relative;
    if (const auto limit = number_in(folder / files.limit);
        limit && *limit < status.physical_bytes) {
      status.limit_bytes = std::min(status.limit_bytes, *limit);
      const uint64_t cache = field_in(folder / "memory.stat", files.reclaimable).value_or(0);
      const uint64_t usage = number_in(folder / files.usage).value_or(0);
      const uint64_t used = usage - std::min(usage, cache);
      status.available_bytes = std::min(status.available_bytes, *limit - std::min(*limit, used));
    }
    if (relative.empty()) return;
    relative = relative.parent_path();
  }
}

#if defined(__APPLE__)
std::string sysctl_text(const char* name) {
  char text[256] = {};
  size_t size = sizeof(text) - 1;
  return ::sysctlbyname(name, text, &size, nullptr, 0) == 0 ? std::string(text) : std::string();
}

uint64_t sysctl_number(const char* name) {
  uint64_t value = 0;
  size_t size = sizeof(value);
  return ::sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}
#endif

}  // namespace

MappedFile::MappedFile(const fs::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not hang.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), system_message(errno));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), system_message(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error::make(ErrorKind::kStorage, "{}: found {}, expected a regular file", path.string(),
                      S_ISDIR(status.st_mode) ? "a folder" : "a special file");
  }
  size_bytes_ = static_cast<size_t>(status.st_size);
  if (size_bytes_ == 0) return;
  void* mapped = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot map {} bytes: {}", path.string(),
                      size_bytes_, system_message(errno));
  }
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

void MappedFile::advise(size_t offset, size_t n_bytes, Access access) const noexcept {
  if (offset >= size_bytes_ || n_bytes == 0) return;
  const size_t end = offset + std::min(n_bytes, size_bytes_ - offset);
  const size_t begin = offset / system_page_bytes() * system_page_bytes();
  int advice = MADV_NORMAL;
  if (access == Access::kSequential) advice = MADV_SEQUENTIAL;
  if (access == Access::kRandom) advice = MADV_RANDOM;
  if (access == Access::kSoon) advice = MADV_WILLNEED;
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, advice);
}

void sync_file(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), system_message(errno));
  }
}

size_t system_page_bytes() noexcept {
  static const size_t n_bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return n_bytes;
}

std::byte* map_pages(size_t n_bytes) {
  EBB_CHECK(n_bytes > 0 && n_bytes % system_page_bytes() == 0);
  void* pages =
      ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    throw Error::make(ErrorKind::kOutOfMemory, "the system gave no {} bytes of memory: {}", n_bytes,
                      system_message(errno));
  }
  return static_cast<std::byte*>(pages);
}

void unmap_pages(std::byte* pages, size_t n_bytes) noexcept { ::munmap(pages, n_bytes); }

void advise_huge_pages(void* begin, size_t n_bytes) noexcept {
#if defined(__linux__)
  static_cast<void>(::madvise(begin, n_bytes, MADV_HUGEPAGE));
#else
  (void)begin;
  (void)n_bytes;
#endif
}

void restart_with_setting(std::span<const char* const> names, const char* value,
                          char** argv) noexcept {
  for (const char* name : names) {
    if (std::getenv(name) != nullptr) return;
  }
#if defined(__linux__)
  if (::setenv(names.front(), value, 1) == 0) ::execv("/proc/self/exe", argv);
#else
  (void)value;
  (void)argv;
#endif
}

void forget_file_pages(const void* begin, size_t n_bytes) noexcept {
  const size_t page = system_page_bytes();
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (address + page - 1) / page * page;
  const uintptr_t end = (address + n_bytes) / page * page;
  if (end > first) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

void discard_pages(std::byte* pages, size_t n_bytes) noexcept {
#if defined(__APPLE__)
  ::madvise(pages, n_bytes, MADV_FREE);
#else
  ::madvise(pages, n_bytes, MADV_DONTNEED);
#endif
}

size_t peak_resident_bytes() {
#if defined(__linux__)
  // getrusage() also counts the process that started this one, up to exec.
  if (const auto kib = field_in("/proc/self/status", "VmHWM")) return size_t{*kib} * 1024;
#endif
  struct rusage usage {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#if defined(__APPLE__)
  return static_cast<size_t>(usage.ru_maxrss);
#else
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
#endif
}

#if defined(__APPLE__)

size_t resident_bytes() {
  mach_task_basic_info info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  const auto result = ::task_info(mach_task_self(), MACH_TASK_BASIC_INFO,
                                  reinterpret_cast<task_info_t>(&info), &count);
  return result == KERN_SUCCESS ? static_cast<size_t>(info.resident_size) : 0;
}

MemoryStatus memory_status() {
  MemoryStatus status;
  status.physical_bytes = status.limit_bytes = status.available_bytes = sysctl_number("hw.memsize");
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (::host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages),
                          &count) == KERN_SUCCESS) {
    const uint64_t n_free =
        uint64_t{pages.free_count} + pages.inactive_count + pages.purgeable_count;
    status.available_bytes = std::min(status.available_bytes, n_free * system_page_bytes());
  }
  return status;
}

CpuInfo cpu_info() {
  CpuInfo info;
  info.brand = sysctl_text("machdep.cpu.brand_string");
  for (const char* list : {"machdep.cpu.features", "machdep.cpu.leaf7_features"}) {
    std::istringstream words(sysctl_text(list));
    for (std::string word; words >> word;) info.features.push_back(word);
  }
  for (const char* name : {"FEAT_DotProd", "FEAT_I8MM", "FEAT_BF16", "FEAT_FP16", "FEAT_SME"}) {
    if (sysctl_number((std::string("hw.optional.arm.") + name).c_str()) != 0) {
      info.features.emplace_back(name);
    }
  }
  std::sort(info.features.begin(), info.features.end());
  info.n_usable_cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return info;
}

#else

size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t n_pages_total = 0, n_pages_resident = 0;
  in >> n_pages_total >> n_pages_resident;
  return in ? n_pages_resident * system_page_bytes() : 0;
}

MemoryStatus memory_status() {
  MemoryStatus status = memory_status_under("/");
  const auto apply = [&](auto resource, const char* used_field) {
    struct rlimit limit {};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    const uint64_t total = limit.rlim_cur;
    const uint64_t used = field_in("/proc/self/status", used_field).value_or(0) * 1024;
    status.limit_bytes = std::min(status.limit_bytes, total);
    status.available_bytes = std::min(status.available_bytes, total - std::min(total, used));
  };
  apply(RLIMIT_AS, "VmSize");
  apply(RLIMIT_DATA, "VmData");
  return status;
}

// At most ceil(quota / period) cores are worth using; 0 = no quota.
static int quota_cores() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    for (fs::path path = fs::path(line.substr(3)).relative_path();; path = path.parent_path()) {
      std::ifstream in(fs::path("/sys/fs/cgroup") / path / "cpu.max");
      double quota = 0, period = 0;
      if (in >> quota >> period && period > 0) return static_cast<int>(std::ceil(quota / period));
      if (path.empty()) break;
    }
  }
  return 0;
}

CpuInfo cpu_info() {
  CpuInfo info;
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line) && !line.empty();) {  // the first core's lines
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (name == "model name") info.brand = value;
    if (name == "flags" || name == "Features") {
      std::istringstream words(value);
      for (std::string word; words >> word;) info.features.push_back(word);
    }
  }
  std::sort(info.features.begin(), info.features.end());
  info.n_usable_cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof(cores), &cores) == 0) info.n_usable_cores = CPU_COUNT(&cores);
#endif
  if (const int quota = quota_cores(); quota > 0) {
    info.n_usable_cores = std::min(info.n_usable_cores, quota);
  }
  return info;
}

#endif

std::string c_library() {
#if defined(__APPLE__)
  return "macos-" + sysctl_text("kern.osrelease");
#elif defined(__GLIBC__)
  return std::string("glibc-") + ::gnu_get_libc_version();
#else
  return "libc";
#endif
}

MemoryStatus memory_status_under(const fs::path& root) {
  constexpr uint64_t kKiB = 1024;
  MemoryStatus status;
  status.physical_bytes = field_in(root / "proc/meminfo", "MemTotal").value_or(0) * kKiB;
  status.limit_bytes = status.physical_bytes;
  status.available_bytes = std::min(
      status.physical_bytes,
      field_in(root / "proc/meminfo", "MemAvailable").value_or(status.physical_bytes / kKiB) *
          kKiB);

  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/path" or "4:memory:/path"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    const fs::path mount = root / "sys/fs/cgroup";
    if (controllers == ",,") apply_cgroup(mount, group, kVersion2, status);
    if (controllers.find(",memory,") != std::string::npos) {
      apply_cgroup(mount / "memory", group, kVersion1, status);
    }
  }
  return status;
}

}  // namespace ebb::platform
