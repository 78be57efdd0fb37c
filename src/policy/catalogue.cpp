#include "policy/catalogue.h"

#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "policy/specs.h"

namespace ebb::policy {

std::span<const PolicySpec> catalogue() {
  static const std::vector<PolicySpec> kPolicies = {
      full_spec(),
      streaming_spec(),
      random_spec(),
      knorm_spec(),
      h2o_spec(),
      observed_attention_spec(),
      tova_spec(),
      tova_head_spec(),
      snapkv_spec(),
      keydiff_spec(),
      lagkv_spec(),
      lagkv_recursive_spec(),
      expected_attention_spec(),
  };
  return kPolicies;
}

const PolicySpec* try_policy(std::string_view name) {
  for (const PolicySpec& spec : catalogue()) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

const PolicySpec& find_policy(std::string_view name) {
  if (const PolicySpec* spec = try_policy(name); spec != nullptr) return *spec;
  std::vector<std::string> names;
  for (const PolicySpec& spec : catalogue()) names.push_back(spec.name);
  throw Error::make(ErrorKind::kUsage, "unknown policy '{}', expected one of: {}{}", name,
                    fmt::join(names, ", "), did_you_mean(name, names));
}

}  // namespace ebb::policy
