// HOW a budget is shared: turns the base budget of every head into the number of cells each one
// keeps.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "policy/selection.h"
#include "policy/treatment.h"

namespace ebb::policy {

// Sets `count` of every head. `works` is ordered by layer, then head, and holds only layers in
// scope. Returns notices for people, such as a pyramid that had to fall back.
std::vector<std::string> allocate(const Allocator& allocator, std::span<HeadWork> works);

// Guaranteed cells first, then the best scores over all given heads until `total` is used up. Sets
// `count`. Exposed for tests.
void share_by_score(std::span<HeadWork> heads, const Ratio& alpha, int64_t least);

}  // namespace ebb::policy
