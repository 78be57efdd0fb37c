#include "policy/needs.h"

#include <algorithm>

#include "base/error.h"
#include "policy/catalogue.h"
#include "policy/refine.h"

namespace ebb::policy {

Needs needs_of(const Treatment& treatment) {
  const PolicySpec& spec = find_policy(treatment.policy);
  const auto policy = spec.make(Params(spec.params, treatment.policy_params, spec.name));
  return union_of(policy->needs(), needs_of(treatment.refine));
}

bool can_share(const Needs& a, const Needs& b) {
  return !a.query_moments || !b.query_moments || a.moments_skip_first == b.moments_skip_first;
}

Needs union_of(const Needs& a, const Needs& b) {
  if (!can_share(a, b)) {
    throw Error::make(
        ErrorKind::kUsage,
        "query moments: one arm leaves out the first {} queries, another {}; expected "
        "the same number where arms share a sequence",
        a.moments_skip_first, b.moments_skip_first);
  }
  Needs out;
  out.keys = a.keys || b.keys;
  out.values = a.values || b.values;
  out.attention_sum = a.attention_sum || b.attention_sum;
  out.attention_window = std::max(a.attention_window, b.attention_window);
  out.query_moments = a.query_moments || b.query_moments;
  out.moments_skip_first = a.query_moments ? a.moments_skip_first : b.moments_skip_first;
  out.output_projection = a.output_projection || b.output_projection;
  return out;
}

bool covers(const Needs& have, const Needs& wanted) {
  return (have.attention_sum || !wanted.attention_sum) &&
         have.attention_window >= wanted.attention_window &&
         (!wanted.query_moments ||
          (have.query_moments && have.moments_skip_first == wanted.moments_skip_first));
}

}  // namespace ebb::policy
