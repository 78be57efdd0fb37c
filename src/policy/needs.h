// Signals for several treatments at once: one sequence can gather for all arms that still share it.
#pragma once

#include "policy/treatment.h"
#include "policy/view.h"

namespace ebb::policy {

Needs needs_of(const Treatment& treatment);

// False only where both want moments that leave out different queries: one sum cannot serve both.
bool can_share(const Needs& a, const Needs& b);

// What serves both.  Throws: kUsage where they cannot share.
Needs union_of(const Needs& a, const Needs& b);

// Whether what was gathered for `have` holds what `wanted` needs from the forward pass. Keys,
// values and projections are read from the cells and the model, so they need no gathering.
bool covers(const Needs& have, const Needs& wanted);

}  // namespace ebb::policy
