// detectable_content:*, combination:* and startend:*  What stands in the reply, and at which end.
#include <fmt/format.h>

#include "eval/rule_table.h"
#include "eval/text_pattern.h"

namespace ebb::eval {
namespace {

// "[...]" within a line; an opening bracket pairs with the next closing one.
size_t count_placeholders(TextView reply) {
  size_t n_found = 0;
  for (size_t i = reply.find(U'['); i != TextView::npos; i = reply.find(U'[', i)) {
    const size_t end = reply.find_first_of(U"]\n", i);
    const bool is_closed = end != TextView::npos && reply[end] == U']';
    n_found += is_closed ? 1 : 0;
    i = is_closed ? end + 1 : i + 1;
  }
  return n_found;
}

RuleVerdict check_placeholders(const Rule& rule, TextView reply) {
  const size_t n_found = count_placeholders(reply);
  const int64_t n_wanted = integer_of(rule, "num_placeholders");
  return verdict(static_cast<int64_t>(n_found) >= n_wanted,
                 fmt::format("found {} placeholders, expected at least {}", n_found, n_wanted));
}

// The two usual markers may have a space between their letters.
Text postscript_pattern(TextView marker) {
  if (marker == U"P.S.") {
    return U"p\\.\\s?s\\.";
  }
  if (marker == U"P.P.S") {
    return U"p\\.\\s?p\\.\\s?s";
  }
  return to_lower(marker);
}

Pattern postscript(const Rule& rule) {
  return Pattern(postscript_pattern(strip(text_of(rule, "postscript_marker"))), CaseRule::kExact);
}

RuleVerdict check_postscript(const Rule& rule, TextView reply) {
  const bool is_there = postscript(rule).is_found_in(to_lower(reply));
  const Text marker = text_of(rule, "postscript_marker");
  return verdict(is_there, fmt::format("{} {}, expected it", is_there ? "found" : "did not find",
                                       quoted(marker)));
}

RuleVerdict check_two_responses(const Rule&, TextView reply) {
  const std::vector<TextView> pieces = split(reply, U"******");
  std::vector<TextView> answers;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!is_blank(pieces[i])) {
      answers.push_back(strip(pieces[i]));
    } else if (i > 0 && i + 1 < pieces.size()) {
      return verdict(false, "found nothing between two dividers, expected a reply");
    }
  }
  if (answers.size() == 2 && answers[0] == answers[1]) {
    return verdict(false, "found the same reply twice, expected two different ones");
  }
  return verdict(answers.size() == 2,
                 fmt::format("found {} replies parted by ******, expected 2", answers.size()));
}

RuleVerdict check_repeat(const Rule& rule, TextView reply) {
  const Text wanted = to_lower(strip(text_of(rule, "prompt_to_repeat")));
  const bool has_passed = to_lower(strip(reply)).starts_with(wanted);
  return verdict(has_passed, fmt::format("found {} at the start, expected {}", quoted(strip(reply)),
                                         quoted(wanted)));
}

RuleVerdict check_end(const Rule& rule, TextView reply) {
  const Text wanted = to_lower(strip(text_of(rule, "end_phrase")));
  const Text end = to_lower(strip(strip(reply), U"\""));
  const size_t n_shown = std::min(end.size(), wanted.size());
  return verdict(end.ends_with(wanted),
                 fmt::format("found {} at the end, expected {}",
                             quoted(TextView(end).substr(end.size() - n_shown)), quoted(wanted)));
}

RuleVerdict check_quotation(const Rule&, TextView reply) {
  const TextView text = strip(reply);
  const bool is_wrapped = text.size() > 1 && text.front() == U'"' && text.back() == U'"';
  return verdict(is_wrapped,
                 fmt::format("found {} first and {} last, expected \" and \"",
                             quoted(text.substr(0, 1)), quoted(text.substr(text.size() - 1))));
}

}  // namespace

std::vector<RuleSpec> content_rules() {
  return {
      {.id = "detectable_content:number_placeholders",
       .summary = "There are at least so many placeholders in square brackets.",
       .parameters = {{.name = "num_placeholders", .kind = ParameterKind::kInteger}},
       .check = check_placeholders},
      {.id = "detectable_content:postscript",
       .summary = "There is a postscript with the marker, such as P.S. or P.P.S",
       .parameters = {{.name = "postscript_marker"}},
       .check = check_postscript,
       .extra_check = [](const Rule& rule) { postscript(rule); }},
      {.id = "combination:two_responses",
       .summary = "There are two different replies, parted by ******.",
       .parameters = {},
       .check = check_two_responses},
      {.id = "combination:repeat_prompt",
       .summary = "The reply begins with the request, word for word.",
       .parameters = {{.name = "prompt_to_repeat"}},
       .check = check_repeat},
      {.id = "startend:end_checker",
       .summary = "The reply ends with the phrase.",
       .parameters = {{.name = "end_phrase"}},
       .check = check_end},
      {.id = "startend:quotation",
       .summary = "The whole reply stands in double quotation marks.",
       .parameters = {},
       .check = check_quotation},
  };
}

}  // namespace ebb::eval
