// Reading JSON objects strictly: every complaint names file, line, conversation, turn, field, what
// was found and what was expected. Shared by the readers of conversation files and of the bank.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/conversation_lines.h"

namespace ebb::experiment {

// A place in the file: turns a JSON pointer into "file:line: conversation 'x', turn 2, field 'y'".
// Borrows what it is made from.
class Place {
 public:
  Place(const std::string& file, const JsonLines& lines) : file_(file), lines_(&lines) {}
  // For text that stands on one known line, such as a row of a JSONL file.
  Place(const std::string& file, int line) : file_(file), line_(line) {}

  [[noreturn]] void fail(const std::string& who, const std::string& pointer,
                         const std::string& what) const;
  int line(const std::string& pointer) const {
    return lines_ == nullptr ? line_ : lines_->line_of(pointer);
  }

 private:
  const std::string& file_;
  const JsonLines* lines_ = nullptr;
  int line_ = 0;
};

// One JSON object under reading.
struct Item {
  const nlohmann::json& value;
  const Place& place;
  std::string pointer;  // of the object
  std::string who;      // for people: "conversation 'c1', turn 2"

  [[noreturn]] void fail(const std::string& field, const std::string& what) const;
};

// A value in a message: cut after 60 bytes.
std::string shown(const nlohmann::json& value);

// Null where the field is missing or null.
const nlohmann::json* find(const Item& item, const std::string& field);
// "" where the field is missing.
std::string text_of(const Item& item, const std::string& field);
// The same, and an error where it is empty.
std::string required_text(const Item& item, const std::string& field);
// A name may be written as a number.
std::string name_of(const Item& item, const std::string& field);
std::optional<int> integer_of(const Item& item, const std::string& field);
// Throws where the field is missing or no list with at least one value.
const nlohmann::json& list_of(const Item& item, const std::string& field, const std::string& what);
// Each rule as JSON text; none where the field is missing.
std::vector<std::string> rules_of(const Item& item);

// Foreign fields are left alone, but one that looks like a misspelt field of ours is an error.
void check_spelling(const Item& item, const std::vector<std::string>& known);

// `first_line` is the line of the text's first byte in the file.
nlohmann::json parse_json(std::string_view text, const std::string& where, int first_line = 1);

}  // namespace ebb::experiment
