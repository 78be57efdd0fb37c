// The list of policies, and its text for people, documentation and programs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "policy/policy.h"

namespace ebb::policy {

std::span<const PolicySpec> catalogue();
// Throws: kUsage with the nearest name.
const PolicySpec& find_policy(std::string_view name);
// Null where there is none.
const PolicySpec* try_policy(std::string_view name);

std::string catalogue_text();      // for a terminal
std::string catalogue_markdown();  // docs/policies.md
std::string catalogue_json();

}  // namespace ebb::policy
