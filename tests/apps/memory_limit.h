// Runs the program under tighter and wider memory limits: it must run or refuse with exit code 4.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "apps/ebb_process.h"
#include "model/gguf_builder.h"

namespace ebb::app::testing {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCanLimitMemory = false;  // the sanitizer maps terabytes of addresses
#else
constexpr bool kCanLimitMemory = true;
#endif

struct LimitCount {
  int n_ran = 0, n_refused = 0;
};

// From `first` to `last` MiB of one resource. Where not even the program's libraries fit, the
// system's loader says so and ends with 127 before the program begins: not counted.
inline LimitCount try_limits(int resource, uint64_t first, uint64_t last, uint64_t stride) {
  const model::testing::TemporaryFolder folder;
  {
    std::ofstream ids(folder / "ids.json");
    ids << "[1";
    for (int i = 1; i < 400; ++i) ids << ',' << i % 256;
    ids << ']';
  }
  const auto path = std::filesystem::path(EBB_FIXTURES) / "tiny" / "llama-f32.gguf";
  LimitCount count;
  for (uint64_t mib = first; mib <= last; mib += stride) {
    const EbbEnd end = run_ebb({"logits", path.string(), "--ids", (folder / "ids.json").string(),
                                "--threads", "2", "--out", (folder / "out.npy").string()},
                               folder / "log.txt",
                               {.resource = resource,
                                .n_bytes = mib << 20,
                                .environment = {{"EBB_CACHE", (folder / "cache").string()}}});
    EXPECT_EQ(end.signal, 0) << mib << " MiB: " << end.said;
    if (end.exit_code == 127) {
      EXPECT_THAT(end.said, ::testing::HasSubstr("shared libraries"));
      continue;
    }
    EXPECT_TRUE(end.exit_code == 0 || end.exit_code == 4)
        << mib << " MiB: exit code " << end.exit_code << ": " << end.said;
    if (end.exit_code == 4) {
      EXPECT_THAT(end.said, ::testing::HasSubstr("available"));
    }
    ++(end.exit_code == 0 ? count.n_ran : count.n_refused);
    std::error_code ignored;
    std::filesystem::remove_all(folder / "cache", ignored);  // the child process is tried as well
  }
  return count;
}

}  // namespace ebb::app::testing
