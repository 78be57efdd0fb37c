// Parameters as text, checked against their declared type and range. Every parameter has a default,
// so a resolved set names every setting that a record must keep.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ratio.h"

namespace ebb::policy {

using ParamMap = std::map<std::string, std::string>;

enum class ParamType {
  kInteger,
  kReal,
  kRatio,   // exact decimal in [0, 1]
  kChoice,  // one of `choices`
  kText,    // free text, checked by its owner
};

struct ParamSpec {
  std::string name;
  ParamType type = ParamType::kInteger;
  std::string fallback;  // the default, as text
  double min = 0.0;      // of integers and reals
  double max = 0.0;
  std::vector<std::string> choices;
  std::string help;

  std::string range_text() const;  // "0..1000000", "on|off"
};

ParamSpec integer_param(std::string name, int64_t fallback, int64_t min, int64_t max,
                        std::string help);
ParamSpec real_param(std::string name, std::string fallback, double min, double max,
                     std::string help);
ParamSpec ratio_param(std::string name, std::string fallback, std::string help);
ParamSpec choice_param(std::string name, std::vector<std::string> choices, std::string help);
ParamSpec text_param(std::string name, std::string help);

// The problem with `text` as a value of `spec`, or "".
std::string problem_of(const ParamSpec& spec, const std::string& text);

class Params {
 public:
  // `where` names the owner in messages.  Throws: kUsage for an unknown name or a bad value.
  Params(std::span<const ParamSpec> specs, const ParamMap& given, std::string_view where);

  int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  Ratio ratio(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  bool is_on(const std::string& name) const { return text(name) == "on"; }
  const ParamMap& resolved() const { return values_; }

 private:
  ParamMap values_;
};

// "a,b , c" -> {"a", "b", "c"}; "" -> {}.
std::vector<std::string> split_list(std::string_view text, char separator = ',');
// Throws: kUsage unless all of `text` is an integer.
int64_t parse_integer(std::string_view text, std::string_view where);

}  // namespace ebb::policy
