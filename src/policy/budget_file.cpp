#include "policy/budget_file.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_checks.h"
#include "policy/selection.h"

namespace ebb::policy {
namespace {

using Table = std::vector<std::vector<int64_t>>;

Error bad_file(const std::filesystem::path& path, std::string_view what) {
  return Error::make(ErrorKind::kBadData, "budget file '{}': {}", path.string(), what);
}

// Shares are cut to 2^-40 of the largest, so that dealing out is in whole numbers.
Table deal_out(const std::vector<std::vector<double>>& shares, int64_t total) {
  double largest = 0.0;
  for (const auto& row : shares) {
    for (const double share : row) largest = std::max(largest, share);
  }
  std::vector<int64_t> weights;
  for (const auto& row : shares) {
    for (const double share : row) {
      weights.push_back(largest > 0.0 ? std::llround(share / largest * 0x1p40) : 0);
    }
  }
  const std::vector<int64_t> lower(weights.size(), 1);
  const std::vector<int64_t> upper(weights.size(), total);
  const auto flat = apportion(total, weights, lower, upper);
  Table table;
  size_t next = 0;
  for (const auto& row : shares) {
    auto& out = table.emplace_back();
    for (size_t h = 0; h < row.size(); ++h) out.push_back(flat[next++]);
  }
  return table;
}

}  // namespace

std::vector<std::vector<int64_t>> load_budget_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file)
    throw Error::make(ErrorKind::kStorage, "budget file '{}': cannot read it", path.string());
  Table table;
  try {
    const auto json = nlohmann::json::parse(file);
    if (json.contains("budgets")) {
      for (const auto& row : json.at("budgets")) {
        auto& out = table.emplace_back();
        for (const auto& cells : row) {
          const auto n = integer_of<int64_t>(cells);
          if (!n) throw bad_file(path, "a budget is no whole number");
          out.push_back(*n);
        }
      }
    } else {
      const auto shares = json.at("shares").get<std::vector<std::vector<double>>>();
      size_t n_heads = 0;
      for (const auto& row : shares) {
        n_heads += row.size();
        for (const double share : row) {
          if (!std::isfinite(share) || share < 0.0)
            throw bad_file(path, "a share is not a number >= 0");
        }
      }
      const int64_t total = integer_of<int64_t>(json.at("total")).value_or(0);
      if (n_heads == 0 || total < static_cast<int64_t>(n_heads)) {
        throw bad_file(path, "total is below one cell a head");
      }
      table = deal_out(shares, total);
    }
  } catch (const nlohmann::json::exception& error) {
    throw bad_file(path, error.what());
  }
  for (const auto& row : table) {
    for (const int64_t cells : row) {
      if (cells < 1) throw bad_file(path, "a budget is below 1");
    }
  }
  return table;
}

}  // namespace ebb::policy
