// Budgets of every layer and KV head from a JSON file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace ebb::policy {

// {"budgets": [[cells, ...], ...]} as [layer][head], or {"shares": [[x, ...], ...], "total": cells}
// where shares are numbers >= 0 and cells are dealt out by largest remainder, at least one a head.
// Throws: kStorage when the file cannot be read, kBadData when it says something else.
std::vector<std::vector<int64_t>> load_budget_file(const std::filesystem::path& path);

}  // namespace ebb::policy
