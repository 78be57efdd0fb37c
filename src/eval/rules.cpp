#include "eval/rules.h"

#include <array>

#include "base/error.h"
#include "eval/rule_table.h"

namespace ebb::eval {
namespace {

// The reply without a reasoning block; an unclosed one leaves nothing.
TextView without_thinking(TextView reply) {
  constexpr TextView kClose = U"</think>";
  const TextView text = strip(reply);
  const size_t close = text.find(kClose);
  if (close != TextView::npos) {
    return strip(text.substr(close + kClose.size()));
  }
  return text.starts_with(U"<think>") ? TextView() : text;
}

struct Version {
  Text text;
  std::string_view how;  // for the detail
};

std::array<Version, 8> loose_versions(TextView reply) {
  const size_t first_end = reply.find(U'\n');
  const size_t last_start = reply.rfind(U'\n');
  const bool is_one_line = first_end == TextView::npos;
  const TextView no_first = is_one_line ? TextView() : reply.substr(first_end + 1);
  const TextView no_last = is_one_line ? TextView() : reply.substr(0, last_start);
  const TextView neither = is_one_line || first_end == last_start
                               ? TextView()
                               : reply.substr(first_end + 1, last_start - first_end - 1);
  const auto plain = [](TextView text) { return without(text, U'*'); };
  return {{{Text(reply), "as it is"},
           {plain(reply), "without asterisks"},
           {Text(strip(no_first)), "without the first line"},
           {Text(strip(no_last)), "without the last line"},
           {Text(strip(neither)), "without the first and last line"},
           {plain(strip(no_first)), "without the first line and asterisks"},
           {plain(strip(no_last)), "without the last line and asterisks"},
           {plain(strip(neither)), "without the first and last line and asterisks"}}};
}

}  // namespace

RuleVerdict check_rule(const Rule& rule, std::string_view response, Strictness strictness) {
  validate_rule(rule);
  const RuleSpec& spec = find_rule(rule.id);
  const Text decoded = decode_utf8(response);
  const TextView reply = without_thinking(decoded);
  if (reply.empty()) {
    return verdict(false, "found an empty reply");
  }
  RuleVerdict strict = spec.check(rule, reply);
  if (strictness == Strictness::kStrict || strict.has_passed()) {
    return strict;
  }
  for (const Version& version : loose_versions(reply)) {
    if (is_blank(version.text)) {
      continue;
    }
    const RuleVerdict loose = spec.check(rule, version.text);
    if (loose.has_passed()) {
      return verdict(true, fmt::format("{} ({})", loose.detail, version.how));
    }
  }
  return strict;
}

std::vector<std::string> known_rules() {
  std::vector<std::string> ids;
  for (const RuleSpec& spec : rule_table()) {
    ids.push_back(spec.id);
  }
  return ids;
}

std::string describe_rule(std::string_view id) {
  const RuleSpec& spec = find_rule(id);
  std::string text = spec.summary;
  for (const ParameterSpec& parameter : spec.parameters) {
    text += fmt::format("{}{}{}", &parameter == &spec.parameters.front() ? " Parameters: " : ", ",
                        parameter.name, parameter.need == Need::kOptional ? " (optional)" : "");
  }
  return text;
}

}  // namespace ebb::eval
