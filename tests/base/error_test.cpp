// Error kinds, their exit codes, and the checks that throw.
#include "base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace ebb {
namespace {

TEST(Error, EveryKindHasTheExitCodeOfTheCommandLine) {
  EXPECT_EQ(Error(ErrorKind::kInternal, "").exit_code(), 1);
  EXPECT_EQ(Error(ErrorKind::kBackend, "").exit_code(), 1);
  EXPECT_EQ(Error(ErrorKind::kUsage, "").exit_code(), 2);
  EXPECT_EQ(Error(ErrorKind::kBadModel, "").exit_code(), 3);
  EXPECT_EQ(Error(ErrorKind::kBadData, "").exit_code(), 3);
  EXPECT_EQ(Error(ErrorKind::kOutOfMemory, "").exit_code(), 4);
  EXPECT_EQ(Error(ErrorKind::kStorage, "").exit_code(), 5);
  EXPECT_EQ(Error(ErrorKind::kInterrupted, "").exit_code(), 75);
}

TEST(Error, ContextGoesInFrontAndTheKindStays) {
  const Error inner = Error::make(ErrorKind::kBadData, "found {}, expected {}", 3, "a list");
  const Error outer = inner.with_context("line 7").with_context("file.json");
  EXPECT_STREQ(outer.what(), "file.json: line 7: found 3, expected a list");
  EXPECT_EQ(outer.kind(), ErrorKind::kBadData);
}

TEST(Error, AFailedCheckNamesItsExpressionAndFile) {
  try {
    EBB_CHECK(1 + 1 == 3);
    FAIL() << "the check did not throw";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_NE(message.find("1 + 1 == 3"), std::string::npos) << message;
    EXPECT_NE(message.find("error_test.cpp"), std::string::npos) << message;
  }
}

TEST(Error, ACheckThatHoldsEvaluatesItsExpressionOnce) {
  int n_calls = 0;
  EBB_CHECK(++n_calls == 1);
  EXPECT_EQ(n_calls, 1);
}

}  // namespace
}  // namespace ebb
