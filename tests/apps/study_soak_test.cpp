// Kills at random moments, many of them: the files for people must not show it.
#include <csignal>
#include <cstdio>
#include <thread>

#include "apps/study_process.h"
#include "dice.h"

namespace ebb::app {
namespace {

using ::testing::IsEmpty;
using testing::StudyProcess;

TEST_F(StudyProcess, RandomKillsDoNotShowInAnyFile) {
  write("data.json", testing::conversations_text(40));
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(ebb(run_arguments("whole")).exit_code, 0);
  const auto n_us = static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                              std::chrono::steady_clock::now() - begin)
                                              .count());
  const auto whole = exports_of("whole");
  Dice dice(11);
  int n_kills = 0;
  for (int study = 0; study < 30; ++study) {
    SCOPED_TRACE(study);
    for (int i = 0; i < 5; ++i) {
      const pid_t child = start(run_arguments("parts"));
      std::this_thread::sleep_for(std::chrono::microseconds(dice(n_us)));
      ::kill(child, SIGKILL);
      if (testing::wait_for_ebb(child, in_folder("log.txt")).signal == SIGKILL) ++n_kills;
    }
    ASSERT_EQ(ebb(run_arguments("parts")).exit_code, 0);
    ASSERT_THAT(differences(exports_of("parts"), whole), IsEmpty());
    testing::fs::remove_all(in_folder("parts"));
  }
  // A study that goes on has less left to do, so that some end before they are killed.
  EXPECT_GE(n_kills, 30);
  std::printf("30 studies, %d kills at random moments, every file the same\n", n_kills);
}

}  // namespace
}  // namespace ebb::app
