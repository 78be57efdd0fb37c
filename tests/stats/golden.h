// Golden cases of tests/fixtures/stats for the tests of src/stats.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ebb::stats {

inline nlohmann::json golden_cases(const std::string& name) {
  std::ifstream file(std::string(EBB_FIXTURES) + "/stats/" + name + ".json");
  nlohmann::json cases = nlohmann::json::parse(file).at("cases");
  EXPECT_FALSE(cases.empty());
  return cases;
}

inline std::vector<double> numbers(const nlohmann::json& list) {
  return list.get<std::vector<double>>();
}

// Agreement to 1e-6, relative for numbers above one.
#define EXPECT_GOLDEN(actual, expected)                                                  \
  do {                                                                                   \
    const double golden_number = (expected);                                             \
    EXPECT_NEAR((actual), golden_number, 1e-6 * std::max(1.0, std::abs(golden_number))); \
  } while (false)

}  // namespace ebb::stats
