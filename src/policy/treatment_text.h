// Treatments from and to text: the names and keys of study files, command lines and records.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/params.h"
#include "policy/treatment.h"

namespace ebb::policy {

// A published method or usual control that is a combination of parts (data/treatments.toml).
struct NamedTreatment {
  std::string name;
  std::string summary;
  std::string paper;  // or ""
  ParamMap settings;  // has "policy"
};
const std::vector<NamedTreatment>& named_treatments();

// The keys that every treatment has beside its policy's own parameters.
const std::vector<ParamSpec>& treatment_params();

// `name` is a policy or a named combination; `params` override.  Throws: kUsage for an unknown name
// or key (with the nearest), a bad value, or a combination that makes no sense (all reasons at
// once).
Treatment make_treatment(std::string_view name, const ParamMap& params = {});

// Every setting as text, defaults included: make_treatment(t.name, settings_of(t)) is the same
// treatment.
ParamMap settings_of(const Treatment& treatment);

std::string to_text(EventKind kind);
std::string to_text(PositionMode mode);
std::string to_text(Role role);

}  // namespace ebb::policy
