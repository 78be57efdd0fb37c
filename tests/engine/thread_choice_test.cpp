#include "engine/thread_choice.h"

#include <gtest/gtest.h>

namespace ebb::engine {
namespace {

// Steps of `rows` rows on a machine where n threads take seconds(n); how many steps took n threads.
template <typename Seconds>
int steps_with(ThreadChoice& choice, int n, int n_steps, size_t rows, const Seconds& seconds) {
  int count = 0;
  for (int i = 0; i < n_steps; ++i) {
    const int chosen = choice.choose(rows, 1000);
    count += chosen == n ? 1 : 0;
    choice.note(seconds(chosen));
  }
  return count;
}

double quiet(int n) { return 0.01 / n; }
// Threads that wait for one that is not running.
double crowded(int n) { return n == 1 ? 0.02 : 0.1; }

TEST(ThreadChoice, TakesAllThreadsOnAQuietMachine) {
  ThreadChoice choice(6);
  EXPECT_GE(steps_with(choice, 6, 1000, 16, quiet), 985);
}

TEST(ThreadChoice, TakesFewerWhileTheyAreFasterAndAllAgainLater) {
  ThreadChoice choice(4);
  steps_with(choice, 4, 200, 16, quiet);
  steps_with(choice, 1, 1000, 16, crowded);
  EXPECT_GE(steps_with(choice, 1, 1000, 16, crowded), 980);
  steps_with(choice, 4, 2000, 16, quiet);
  EXPECT_GE(steps_with(choice, 4, 1000, 16, quiet), 980);
}

TEST(ThreadChoice, LearnsForStepsOfOneSizeOnly) {
  ThreadChoice choice(2);
  steps_with(choice, 1, 2000, 1, crowded);
  EXPECT_GE(steps_with(choice, 2, 90, 512, quiet), 88);
}

TEST(ThreadChoice, ASmallStepTakesNoMoreThanItIsWorth) {
  ThreadChoice choice(8);
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(choice.choose(1, 1), 1);
    choice.note(0.001);
    const int three = choice.choose(64, 3);
    EXPECT_GE(three, 1);
    EXPECT_LE(three, 3);
    choice.note(0.001);
  }
}

TEST(ThreadChoice, OneThreadIsAllThereIs) {
  ThreadChoice choice(1);
  EXPECT_EQ(steps_with(choice, 1, 300, 8, quiet), 300);
}

}  // namespace
}  // namespace ebb::engine
