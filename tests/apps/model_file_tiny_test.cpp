// What the program says and returns when the model file is bad, dies in the child, or changes
// under it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "apps/ebb_process.h"
#include "model/gguf_builder.h"

namespace ebb::app {
namespace {

namespace fs = std::filesystem;
using testing::EbbEnd;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::run_ebb;

class ModelFile : public ::testing::Test {
 protected:
  fs::path copy_of(const std::string& name) const {
    const fs::path to = folder_ / (name + ".gguf");
    fs::copy_file(fs::path(EBB_FIXTURES) / "tiny" / (name + ".gguf"), to);
    return to;
  }
  fs::path ids(size_t n) const {
    std::ofstream out(folder_ / "ids.json");
    out << "[1";
    for (size_t i = 1; i < n; ++i) out << ',' << i % 256;
    out << ']';
    return folder_ / "ids.json";
  }
  EbbEnd run(const std::vector<std::string>& arguments) const {
    return run_ebb(arguments, log(), with_cache());
  }
  testing::EbbLimits with_cache() const {
    return {.environment = {{"EBB_CACHE", (folder_ / "cache").string()}}};
  }
  fs::path log() const { return folder_ / "log.txt"; }
  std::string in_folder(const std::string& name) const { return (folder_ / name).string(); }

  model::testing::TemporaryFolder folder_;
};

TEST_F(ModelFile, OneThatPassedIsRememberedUntilItChanges) {
  const fs::path path = copy_of("llama-f32");
  const auto n_notes = [&] {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_ / "cache/checked"))
      ++n;
    return n;
  };
  ASSERT_EQ(run({"inspect", path.string()}).exit_code, 0);
  ASSERT_EQ(n_notes(), 1U);
  // Known by path, size and time: a changed weight goes unseen while the time stays the same.
  const fs::file_time_type time = fs::last_write_time(path);
  {
    std::fstream out(path, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(-4, std::ios::end);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    out.write(reinterpret_cast<const char*>(&nan), sizeof(nan));
  }
  fs::last_write_time(path, time);
  EXPECT_EQ(run({"inspect", path.string()}).exit_code, 0);
  fs::last_write_time(path, time + std::chrono::seconds(1));
  const EbbEnd end = run({"inspect", path.string()});
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_THAT(end.said, HasSubstr("NaN or infinite"));
  EXPECT_THAT(end.said, HasSubstr("tensor '"));
}

TEST_F(ModelFile, ABadOneIsExitCode3WithItsName) {
  const fs::path path = copy_of("llama-f32");
  fs::resize_file(path, 4000);
  const EbbEnd end = run({"inspect", path.string()});
  EXPECT_EQ(end.exit_code, 3) << end.said;
  EXPECT_THAT(end.said, HasSubstr(path.string()));
}

TEST_F(ModelFile, OneThatIsCutWhileInUseIsExitCode3WithAMessage) {
  const fs::path path = copy_of("llama-f32");
  const pid_t child = testing::start_ebb({"logits", path.string(), "--ids", ids(60000).string(),
                                          "--threads", "1", "--out", in_folder("out.npy")},
                                         log(), with_cache());
  // The output file is made after the weights are packed: then steps are under way, and each reads
  // rows of the mapped embedding.
  bool has_begun = false;
  for (int i = 0; i < 3000 && !has_begun; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().string().find("out.npy") != std::string::npos) has_begun = true;
    }
  }
  ASSERT_TRUE(has_begun);
  fs::resize_file(path, 0);
  const EbbEnd end = testing::wait_for_ebb(child, log());
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.exit_code, 3) << end.said;
  EXPECT_THAT(end.said, HasSubstr(path.string()));
  EXPECT_THAT(end.said, HasSubstr("while it was in use"));
  EXPECT_FALSE(fs::exists(in_folder("out.npy")));
}

}  // namespace
}  // namespace ebb::app
