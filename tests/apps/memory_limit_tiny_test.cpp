// A few limits; memory_limit_soak_test.cpp tries many.
#include "apps/memory_limit.h"

namespace ebb::app {
namespace {

TEST(MemoryLimit, TooLittleIsExitCode4AndEnoughRuns) {
  if (!testing::kCanLimitMemory) GTEST_SKIP();
  const testing::LimitCount addresses = testing::try_limits(RLIMIT_AS, 40, 360, 40);
  EXPECT_GT(addresses.n_refused, 0);
  EXPECT_GT(addresses.n_ran, 0);
}

// What Slurm grants counts like any other limit.
TEST(MemoryLimit, ASlurmJobIsHeldToItsMemory) {
  const model::testing::TemporaryFolder folder;
  const auto path = std::filesystem::path(EBB_FIXTURES) / "tiny" / "llama-f32.gguf";
  const auto run = [&](const char* mib) {
    return testing::run_ebb(
        {"inspect", path.string()}, folder / "log.txt",
        {.environment = {{"EBB_CACHE", (folder / "cache").string()}, {"SLURM_MEM_PER_NODE", mib}}});
  };
  EXPECT_EQ(run("30").exit_code, 4);
  EXPECT_EQ(run("4000").exit_code, 0);
}

}  // namespace
}  // namespace ebb::app
