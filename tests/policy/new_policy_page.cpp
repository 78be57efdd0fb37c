// The policy that docs/new-policy.md walks through, built from the page itself and found in the
// catalogue like any other. The conformance suites run on it in the same program.
#include <gtest/gtest.h>

#include "policy/catalogue.h"
#include "policy/conformance.h"

namespace ebb::policy::testing {
namespace {

TEST(NewPolicyPage, its_policy_keeps_the_cells_with_the_largest_values) {
  FakeCache cache(small_shape(1, 1, 2, 2));
  cache.append(0, 4);
  cache.head(0, 0).values = {1, 0, 3, 4, 0, 2, -6, 8};  // norms 1, 5, 2, 10
  const auto plan = plan_once(cache, make_treatment("vnorm", {{"budget", "2"}}), event_at(4));
  EXPECT_EQ(cache.kept_ordinals(plan, 0, 0), (std::vector<uint32_t>{1, 3}));
}

TEST(NewPolicyPage, its_policy_is_one_of_those_under_the_conformance_suites) {
  const auto names = evicting_policies();
  EXPECT_EQ(std::count(names.begin(), names.end(), "vnorm"), 1);
  EXPECT_NE(catalogue_text().find("  vnorm  v1"), std::string::npos);
}

}  // namespace
}  // namespace ebb::policy::testing
