// Text names of the enums of a treatment, in one table each.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "policy/treatment.h"

namespace ebb::policy {

template <typename E>
using NameTable = std::vector<std::pair<E, std::string_view>>;

const NameTable<PositionMode>& position_names();
const NameTable<RatioOf>& ratio_of_names();
const NameTable<ScopeCells>& scope_names();
const NameTable<ScopeLayers>& layer_scope_names();
const NameTable<AllocatorKind>& allocator_names();
const NameTable<QuotaBy>& quota_names();
const NameTable<Refine>& refine_names();
const NameTable<Observe>& observe_names();
const NameTable<Role>& role_names();

template <typename E>
std::vector<std::string> names_in(const NameTable<E>& table) {
  std::vector<std::string> names;
  for (const auto& [value, name] : table) names.emplace_back(name);
  return names;
}

template <typename E>
std::string name_of(const NameTable<E>& table, E value) {
  for (const auto& [known, name] : table) {
    if (known == value) return std::string(name);
  }
  EBB_CHECK(false);
}

// Throws: kUsage with the nearest name.
template <typename E>
E value_named(const NameTable<E>& table, std::string_view name, std::string_view where) {
  for (const auto& [value, known] : table) {
    if (known == name) return value;
  }
  const auto known = names_in(table);
  throw Error::make(ErrorKind::kUsage, "{}: '{}' is none of {}{}", where, name,
                    fmt::join(known, ", "), did_you_mean(name, known));
}

}  // namespace ebb::policy
