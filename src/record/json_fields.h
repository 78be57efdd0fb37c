// Reading JSON objects field by field, with errors that name the field. For the folders that write
// such texts themselves: a wrong field means a damaged or foreign file. Internal to record.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"

namespace ebb::record {

using Json = nlohmann::ordered_json;

inline const Json& field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) {
    throw Error::make(ErrorKind::kBadData, "a stored record has no field '{}'", name);
  }
  return *found;
}

template <typename T>
void read(const Json& object, const char* name, T& out) {
  try {
    out = field(object, name).get<T>();
  } catch (const nlohmann::json::exception& error) {
    throw Error::make(ErrorKind::kBadData, "field '{}' of a stored record: {}", name, error.what());
  }
}

// null or no field: absent.
template <typename T>
void read(const Json& object, const char* name, std::optional<T>& out) {
  const auto found = object.find(name);
  out.reset();
  if (found == object.end() || found->is_null()) return;
  read(object, name, out.emplace());
}

template <typename T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// Throws: kBadData.
inline Json parse_record(const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Error::make(ErrorKind::kBadData, "a stored record is not JSON: {}", error.what());
  }
}

// Model output may end inside a character: what is no UTF-8 becomes U+FFFD.
inline std::string dump_record(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ebb::record
