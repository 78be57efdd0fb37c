// A study on a disk that is really full: a tmpfs of a few hundred kilobytes, made where the system
// lets us, as root or in a user namespace of this process.
#if defined(__linux__)
#include <sched.h>
#include <sys/mount.h>

#include "apps/study_process.h"

namespace ebb::app {
namespace {

using testing::EbbEnd;
using ::testing::IsEmpty;
using testing::StudyProcess;

// Mounted for the lifetime of this, where is_mounted() says so.
class SmallDisk {
 public:
  SmallDisk(std::string path, const std::string& size) : path_(std::move(path)) {
    testing::fs::create_directories(path_);
    is_mounted_ = mount(size) || (enter_namespace() && mount(size));
  }
  ~SmallDisk() {
    if (is_mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_mounted() const { return is_mounted_; }
  bool resize(const std::string& size) const {
    return ::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) == 0;
  }

 private:
  bool mount(const std::string& size) const {
    return ::mount("tmpfs", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  static bool enter_namespace() {
    const std::string user = "0 " + std::to_string(::geteuid()) + " 1";
    const std::string group = "0 " + std::to_string(::getegid()) + " 1";
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    return write("/proc/self/setgroups", "deny") && write("/proc/self/uid_map", user) &&
           write("/proc/self/gid_map", group);
  }
  static bool write(const char* path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    return static_cast<bool>(file.flush());
  }

  std::string path_;
  bool is_mounted_ = false;
};

TEST_F(StudyProcess, OnAFullDiskEndsWith5AndGoesOnOnceThereIsSpace) {
  ASSERT_EQ(ebb(run_arguments("whole")).exit_code, 0);
  const auto whole = exports_of("whole");
  std::vector<int> kib_refused;
  for (const int kib : {8, 40, 64, 128, 224, 320, 448}) {
    SCOPED_TRACE(kib);
    const SmallDisk disk(in_folder("disk"), std::to_string(kib) + "k");
    if (!disk.is_mounted()) GTEST_SKIP() << "no tmpfs can be mounted here";
    const EbbEnd end = ebb(run_arguments("disk/out"));
    EXPECT_EQ(end.signal, 0);
    EXPECT_TRUE(end.exit_code == 5 || end.exit_code == 0) << end.exit_code << end.said;
    if (end.exit_code == 5) kib_refused.push_back(kib);
    ASSERT_TRUE(disk.resize("64m"));
    const EbbEnd rest = ebb(run_arguments("disk/out"));
    ASSERT_EQ(rest.exit_code, 0) << rest.said;
    EXPECT_THAT(differences(exports_of("disk/out"), whole), IsEmpty());
  }
  EXPECT_GE(kib_refused.size(), 4U) << "else the disk was hardly ever full";
}

}  // namespace
}  // namespace ebb::app
#endif
