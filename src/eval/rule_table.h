// The table of rules: one row a rule, one function a family. Internal to eval; users include
// rules.h.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/rules.h"
#include "eval/text_unicode.h"

namespace ebb::eval {

enum class ParameterKind { kInteger, kText, kTexts };

enum class Need { kRequired, kOptional };

struct ParameterSpec {
  std::string name;
  ParameterKind kind = ParameterKind::kText;
  Need need = Need::kRequired;
  std::vector<std::string> choices = {};  // of a text; empty: any text that is not blank
  int64_t least = 0;                      // of an integer
};

// Judges one version of a reply, which is not blank. The rule's parameters have been validated.
using Checker = RuleVerdict (*)(const Rule& rule, TextView reply);

// Beyond what ParameterSpec says: throws kBadData.
using ExtraCheck = void (*)(const Rule& rule);

struct RuleSpec {
  std::string id;
  std::string summary;
  std::vector<ParameterSpec> parameters;
  Checker check = nullptr;
  ExtraCheck extra_check = nullptr;
};

// The families; rule_table() is their concatenation.
std::vector<RuleSpec> keyword_rules();
std::vector<RuleSpec> length_rules();
std::vector<RuleSpec> content_rules();
std::vector<RuleSpec> format_rules();
std::vector<RuleSpec> wording_rules();
std::vector<RuleSpec> own_text_rules();
std::vector<RuleSpec> own_style_rules();
std::vector<RuleSpec> own_format_rules();

const std::vector<RuleSpec>& rule_table();

// Throws: kBadData with the nearest id.
const RuleSpec& find_rule(std::string_view id);

// Values of validated parameters.
int64_t integer_of(const Rule& rule, const std::string& name);
Text text_of(const Rule& rule, const std::string& name);
std::vector<Text> texts_of(const Rule& rule, const std::string& name);

// "less than" or "at least" `n_wanted`, the relation being the text parameter of that name.
ParameterSpec relation_parameter(const std::string& name);
RuleVerdict compare_count(const Rule& rule, const std::string& relation_name, size_t n_found,
                          int64_t n_wanted, std::string_view what);

RuleVerdict verdict(bool has_passed, std::string detail);

// `text` as UTF-8 in quotes, cut to a length that fits into a line.
std::string quoted(TextView text);

}  // namespace ebb::eval
