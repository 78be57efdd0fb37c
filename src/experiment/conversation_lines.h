// Where each value of a JSON text begins, so that an error about a field can name its line.
// Reads only text that a JSON parser has accepted; it is no parser of its own.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ebb::experiment {

// How deep objects and arrays are nested. Takes any text, valid or not: a parser's recursion can be
// bounded before it starts.
size_t nesting_depth(std::string_view text);

class JsonLines {
 public:
  // Requires: valid JSON.  Cost: one pass.
  explicit JsonLines(std::string_view valid_json);

  // The line, from 1, of the value at a JSON pointer ("/0/turns/2/role"), or of the nearest value
  // around it.
  int line_of(std::string pointer) const;
  // The pointer of the first key that stands twice in one object.
  const std::optional<std::string>& repeated_key() const { return repeated_key_; }

 private:
  std::map<std::string, int, std::less<>> lines_;
  std::optional<std::string> repeated_key_;
};

}  // namespace ebb::experiment
