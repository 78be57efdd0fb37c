#include "experiment/json_item.h"

#include <algorithm>

#include "base/error.h"
#include "base/json_checks.h"
#include "base/text.h"

namespace ebb::experiment {

using nlohmann::json;

namespace {

constexpr size_t kMaxDepth = 32;

}  // namespace

void Place::fail(const std::string& who, const std::string& pointer,
                 const std::string& what) const {
  const std::string where = who.empty() ? "" : who + ", ";
  throw Error::make(ErrorKind::kBadData, "{}:{}: {}{}", file_, line(pointer), where, what);
}

void Item::fail(const std::string& field, const std::string& what) const {
  place.fail(who, pointer + "/" + field, fmt::format("field '{}': {}", field, what));
}

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60) {
    text.resize(57);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80U) != 0) text.pop_back();
    text += "...";
  }
  return text;
}

const json* find(const Item& item, const std::string& field) {
  const auto found = item.value.find(field);
  return found == item.value.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const Item& item, const std::string& field) {
  const json* value = find(item, field);
  if (value == nullptr) return "";
  if (!value->is_string()) item.fail(field, "found " + shown(*value) + ", expected text");
  return value->get<std::string>();
}

std::string required_text(const Item& item, const std::string& field) {
  std::string text = text_of(item, field);
  if (text.empty()) item.fail(field, "found nothing, expected text");
  return text;
}

std::string name_of(const Item& item, const std::string& field) {
  const json* value = find(item, field);
  if (value != nullptr && value->is_number()) return value->dump();
  return text_of(item, field);
}

std::optional<int> integer_of(const Item& item, const std::string& field) {
  const json* value = find(item, field);
  if (value == nullptr) return std::nullopt;
  const bool is_small = value->is_number_integer() && *value >= 0 && *value <= json(1'000'000'000);
  if (!is_small) item.fail(field, "found " + shown(*value) + ", expected a whole number from 0");
  return value->get<int>();
}

const json& list_of(const Item& item, const std::string& field, const std::string& what) {
  const json* value = find(item, field);
  if (value == nullptr || !value->is_array() || value->empty()) {
    item.fail(field, fmt::format("found {}, expected a list of {}",
                                 value == nullptr ? "nothing" : shown(*value), what));
  }
  return *value;
}

void check_spelling(const Item& item, const std::vector<std::string>& known) {
  for (const auto& [key, value] : item.value.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = did_you_mean(key, known);
    if (!near.empty()) {
      item.fail(key, fmt::format("found an unknown field, expected one of {}{}",
                                 fmt::join(known, ", "), near));
    }
  }
}

std::vector<std::string> rules_of(const Item& item) {
  std::vector<std::string> rules;
  const json* value = find(item, "rules");
  if (value == nullptr) return rules;
  if (!value->is_array()) item.fail("rules", "found " + shown(*value) + ", expected a list");
  for (const json& rule : *value) {
    if (!rule.is_object()) item.fail("rules", "found " + shown(rule) + ", expected objects");
    rules.push_back(rule.dump());
  }
  return rules;
}

json parse_json(std::string_view text, const std::string& where, int first_line) {
  if (const size_t depth = nesting_depth(text); depth > kMaxDepth) {
    throw Error::make(ErrorKind::kBadData, "{}: found JSON nested {} deep, expected at most {}",
                      where, depth, kMaxDepth);
  }
  if (holds_nul(text)) {
    throw Error::make(ErrorKind::kBadData, "{}: found a NUL byte, expected JSON", where);
  }
  try {
    return json::parse(text);
  } catch (const json::out_of_range&) {
    throw Error::make(ErrorKind::kBadData, "{}: found a number that no number type holds", where);
  } catch (const json::parse_error& error) {
    const size_t byte = std::min(error.byte, text.size());
    const auto line =
        first_line + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(byte), '\n');
    std::string why = error.what();
    const size_t column = why.find(", column ");
    const size_t colon = why.find(": ", column == std::string::npos ? 0 : column);
    if (colon != std::string::npos) why = why.substr(colon + 2);
    throw Error::make(ErrorKind::kBadData, "{}:{}: found text that is not JSON ({}), expected JSON",
                      where, line, why);
  }
}

}  // namespace ebb::experiment
