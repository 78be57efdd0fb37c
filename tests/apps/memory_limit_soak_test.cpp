#include "apps/memory_limit.h"

namespace ebb::app {
namespace {

TEST(MemoryLimitSoak, EveryLimitEndsInARunOrExitCode4) {
  if (!testing::kCanLimitMemory) GTEST_SKIP();
  const testing::LimitCount addresses = testing::try_limits(RLIMIT_AS, 40, 400, 2);
  const testing::LimitCount data = testing::try_limits(RLIMIT_DATA, 4, 200, 2);
  for (const testing::LimitCount& count : {addresses, data}) {
    EXPECT_GT(count.n_refused, 0);
    EXPECT_GT(count.n_ran, 0);
    std::printf("%d limits refused, %d ran\n", count.n_refused, count.n_ran);
  }
}

}  // namespace
}  // namespace ebb::app
