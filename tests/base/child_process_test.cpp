#include "base/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/error.h"

namespace ebb {
namespace {

using ::testing::HasSubstr;

Error error_of(const std::function<std::string()>& body, const ChildOptions& options = {}) {
  try {
    run_in_child("a.gguf", body, options);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "nothing was thrown");
}

TEST(ChildProcess, GivesBackTheTextAndLeavesThisProcessAlone) {
  int untouched = 1;
  EXPECT_EQ(run_in_child("a.gguf",
                         [&] {
                           untouched = 2;
                           return std::string("fine");
                         }),
            "fine");
  EXPECT_EQ(untouched, 1);
}

TEST(ChildProcess, AnErrorKeepsItsKindAndWords) {
  const Error error =
      error_of([]() -> std::string { throw Error(ErrorKind::kBadData, "line 3: no colon"); });
  EXPECT_EQ(error.kind(), ErrorKind::kBadData);
  EXPECT_STREQ(error.what(), "line 3: no colon");
}

TEST(ChildProcess, ASignalAnAbortAndAnExitAreErrorsAboutTheFile) {
  const Error aborted = error_of([]() -> std::string {
    std::fputs("first\nGGML_ASSERT(n > 0) failed\n", stderr);
    std::abort();
  });
  EXPECT_EQ(aborted.kind(), ErrorKind::kBadModel);
  EXPECT_STREQ(aborted.what(),
               "a.gguf: checking it ended with signal 6: GGML_ASSERT(n > 0) failed");
  EXPECT_THAT(error_of([]() -> std::string {
                ::signal(SIGSEGV, SIG_DFL);  // a sanitizer has its own handler
                ::raise(SIGSEGV);
                return "";
              }).what(),
              HasSubstr("signal 11"));
  EXPECT_THAT(error_of([]() -> std::string { ::_exit(7); }).what(), HasSubstr("exit code 7"));
}

TEST(ChildProcess, OneThatHangsIsEnded) {
  const auto begin = std::chrono::steady_clock::now();
  const Error error = error_of(
      []() -> std::string {
        std::this_thread::sleep_for(std::chrono::seconds(60));
        return "";
      },
      {.time_max = std::chrono::seconds(1)});
  EXPECT_THAT(error.what(), HasSubstr("not done after 1 s"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(ChildProcess, MoreTextThanAPipeHoldsDoesNotBlock) {
  const std::string text = run_in_child("a.gguf", [] {
    for (int i = 0; i < 100000; ++i) std::fputs("words words\n", stderr);
    return std::string(300000, 'x');
  });
  EXPECT_GE(text.size(), size_t{1} << 16);
}

}  // namespace
}  // namespace ebb
