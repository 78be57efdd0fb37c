// Runs a RapidCheck property inside a GoogleTest test, a stated number of times: properties over
// whole models must stay short. A failure prints the shrunk case and how to run it again.
#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <sstream>
#include <utility>

namespace ebb {

template <typename Testable>
void check_property(int n_cases, Testable&& testable) {
  rc::detail::TestMetadata metadata;
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  metadata.id = std::string(test->test_suite_name()) + "." + test->name();
  metadata.description = test->name();
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  params.maxSuccess = n_cases;
  const auto result = rc::detail::checkTestable(std::forward<Testable>(testable), metadata, params);
  if (result.template is<rc::detail::SuccessResult>()) return;
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  ADD_FAILURE() << text.str();
}

}  // namespace ebb
