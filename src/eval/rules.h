// Rules that a program can check in a reply: IFEval's 25 instruction classes and our own
// ("ebb:..."). Verdicts on the 25 equal those of the public reference checker; docs/rules.md lists
// every rule, its parameters and the known differences. Asks no model and never guesses.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ebb::eval {

using RuleValue = std::variant<int64_t, std::string, std::vector<std::string>>;

// One thing that a reply must do, e.g. {"length_constraints:number_words", {num_words: 50, ...}}.
struct Rule {
  std::string id;
  std::map<std::string, RuleValue> parameters;

  bool operator==(const Rule&) const = default;
};

// Strict: the reply as it is. Loose: passes if any of eight versions of it passes - with and
// without the first line, the last line, both, and with and without asterisks.
enum class Strictness { kStrict, kLoose };

enum class Outcome { kFail, kPass };

struct RuleVerdict {
  Outcome outcome = Outcome::kFail;
  std::string detail;  // what was found and what was expected, in one line

  bool has_passed() const { return outcome == Outcome::kPass; }
};

// A rule from JSON: {"id": "...", "parameters": {...}}, or just "id" for a rule without parameters.
// Throws: kBadData for an unknown rule or parameter, a missing one, or one of the wrong type or
// range.
Rule parse_rule(std::string_view json);
std::string rule_to_json(const Rule& rule);

// The rules of one row of an IFEval file: `kwargs_json` is the array of objects that goes with the
// ids; null values mean "not given".  Throws: kBadData, as parse_rule.
std::vector<Rule> rules_from_ifeval(std::span<const std::string> instruction_ids,
                                    std::string_view kwargs_json);

// Throws: kBadData where a rule made by hand is not one that parse_rule could have returned.
void validate_rule(const Rule& rule);

// Judges a reply (UTF-8; malformed bytes count as U+FFFD). White space around it and a leading
// <think>...</think> block are taken off first; an empty reply fails every rule.
// Throws: kBadData for an invalid rule.  Threads: safe.
RuleVerdict check_rule(const Rule& rule, std::string_view response, Strictness strictness);

// Ids in the order of docs/rules.md.
std::vector<std::string> known_rules();

// One line on what the rule asks for, with its parameters; for help texts.
std::string describe_rule(std::string_view id);

}  // namespace ebb::eval
