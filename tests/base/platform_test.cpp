#include "base/platform.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace ebb::platform {
namespace {

namespace fs = std::filesystem;

class Platform : public ::testing::Test {
 protected:
  Platform() {
    std::string name = (fs::temp_directory_path() / "ebb-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~Platform() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
};

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST_F(Platform, AMappedFileShowsItsBytesAndSurvivesItsRemovalAndAMove) {
  write("file", "hello");
  MappedFile file(folder() / "file");
  fs::remove(folder() / "file");
  const MappedFile moved = std::move(file);
  ASSERT_EQ(moved.size_bytes(), 5U);
  EXPECT_EQ(std::memcmp(moved.bytes().data(), "hello", 5), 0);
  moved.advise(0, 100, Access::kSoon);
}

TEST_F(Platform, WhatIsNoRegularFileIsAStorageError) {
  for (const fs::path& path : {folder(), folder() / "absent", fs::path("/dev/null")}) {
    try {
      const MappedFile file(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kStorage);
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
    }
  }
}

TEST_F(Platform, PagesAreZeroedWritableAndGivenBackOnDiscard) {
  const size_t n_bytes = 64 * kMiB;
  std::byte* pages = map_pages(n_bytes);
  EXPECT_EQ(pages[n_bytes - 1], std::byte{0});
  std::memset(pages, 7, n_bytes);
  const size_t full = resident_bytes();
  discard_pages(pages, n_bytes);
#if defined(__linux__)
  EXPECT_LT(resident_bytes() + 48 * kMiB, full);
#endif
  pages[0] = std::byte{1};  // still mapped
  unmap_pages(pages, n_bytes);
  EXPECT_GE(peak_resident_bytes() + kMiB, full);  // the kernel counts in batches
}

TEST_F(Platform, MoreMemoryThanAddressesIsATypedError) {
  try {
    map_pages(size_t{1} << 62);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
  }
}

TEST_F(Platform, MemoryWithoutCgroupsIsWhatTheKernelSaysIsAvailable) {
  write("proc/meminfo", "MemTotal:       1048576 kB\nMemFree: 1 kB\nMemAvailable:    524288 kB\n");
  const MemoryStatus status = memory_status_under(folder());
  EXPECT_EQ(status.physical_bytes, 1024 * kMiB);
  EXPECT_EQ(status.limit_bytes, 1024 * kMiB);
  EXPECT_EQ(status.available_bytes, 512 * kMiB);
}

TEST_F(Platform, TheTightestCgroupAboveTheProcessLimitsItInVersion2) {
  write("proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 1048576 kB\n");
  write("proc/self/cgroup", "0::/job/step\n");
  write("sys/fs/cgroup/job/step/memory.max", "max\n");
  write("sys/fs/cgroup/job/memory.max", std::to_string(256 * kMiB) + "\n");
  write("sys/fs/cgroup/job/memory.current", std::to_string(200 * kMiB) + "\n");
  write("sys/fs/cgroup/job/memory.stat",
        "anon 1\ninactive_file " + std::to_string(100 * kMiB) + "\n");
  const MemoryStatus status = memory_status_under(folder());
  EXPECT_EQ(status.limit_bytes, 256 * kMiB);
  EXPECT_EQ(status.available_bytes, 156 * kMiB);  // page cache that can go does not count as used
}

TEST_F(Platform, CgroupsOfVersion1LimitTheProcessToo) {
  write("proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 1048576 kB\n");
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", std::to_string(128 * kMiB));
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", std::to_string(28 * kMiB));
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");  // no limit
  const MemoryStatus status = memory_status_under(folder());
  EXPECT_EQ(status.limit_bytes, 128 * kMiB);
  EXPECT_EQ(status.available_bytes, 100 * kMiB);
}

TEST_F(Platform, TheMachineHasMemoryAndCores) {
  const MemoryStatus status = memory_status();
  EXPECT_GT(status.physical_bytes, 0U);
  EXPECT_GT(status.available_bytes, 0U);
  EXPECT_LE(status.available_bytes, status.physical_bytes);
  EXPECT_GE(cpu_info().n_usable_cores, 1);
  EXPECT_FALSE(cpu_info().features.empty());
  EXPECT_GT(resident_bytes(), 0U);
}

ProgramResult run(const std::vector<std::string>& argv, int timeout_ms = 20'000) {
  return run_program(argv, std::chrono::milliseconds(timeout_ms));
}

TEST_F(Platform, ProgramsGetTheirArgumentsAsTheyAre) {
  const ProgramResult result = run({"printf", "%s|", "a b", "`id`", "$HOME", "it's"});
  EXPECT_TRUE(result.is_found);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, "a b|`id`|$HOME|it's|");
}

TEST_F(Platform, AProgramThatIsNotThereIsAnAnswer) {
  EXPECT_FALSE(run({"ebb-no-such-program"}).is_found);
}

TEST_F(Platform, ProgramsEndWithTheirCode) {
  EXPECT_EQ(run({"sh", "-c", "echo bad >&2; exit 7"}).exit_code, 7);
  EXPECT_EQ(run({"sh", "-c", "echo bad >&2; exit 7"}).output, "bad\n");
  EXPECT_EQ(run({"sh", "-c", "kill -9 $$"}).exit_code, 128 + 9);
  EXPECT_EQ(run({"cat"}).output, "");  // its input is empty
}

TEST_F(Platform, ProgramsThatTakeTooLongAreEndedWithTheirChildren) {
  const auto started = std::chrono::steady_clock::now();
  const ProgramResult waiting = run({"sh", "-c", "sleep 30 & sleep 30"}, 100);
  EXPECT_TRUE(waiting.is_timed_out);
  const ProgramResult closed = run({"sh", "-c", "exec >&- 2>&-; sleep 30"}, 100);
  EXPECT_TRUE(closed.is_timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(10));
}

}  // namespace
}  // namespace ebb::platform
