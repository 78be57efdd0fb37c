// detectable_format:*  Bullets, highlights, titles, sections, JSON and a fixed choice of answers.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "eval/rule_table.h"
#include "eval/text_json.h"
#include "eval/text_pattern.h"

namespace ebb::eval {
namespace {

constexpr std::array<TextView, 3> kChoices = {U"My answer is yes.", U"My answer is no.",
                                              U"My answer is maybe."};

// Lines whose first visible character is `mark`. With '*', another one must not follow: that is
// emphasis or a divider. White space before the mark may span lines, which still is one bullet.
size_t count_bullets(TextView reply, char32_t mark) {
  size_t n_found = 0;
  size_t line = 0;
  while (line != TextView::npos && line < reply.size()) {
    size_t i = line;
    while (i < reply.size() && is_space(reply[i])) {
      ++i;
    }
    const bool is_mark = i < reply.size() && reply[i] == mark;
    const bool is_bullet =
        is_mark && (mark != U'*' || (i + 1 < reply.size() && reply[i + 1] != U'*'));
    n_found += is_bullet ? 1 : 0;
    // The character after an asterisk is part of the bullet even where it ends the line.
    const size_t from = is_bullet ? std::min(i + (mark == U'*' ? 2 : 1), reply.size()) : line;
    const size_t end = reply.find(U'\n', from);
    line = end == TextView::npos ? end : end + 1;
  }
  return n_found;
}

RuleVerdict check_bullets(const Rule& rule, TextView reply) {
  const size_t n_found = count_bullets(reply, U'*') + count_bullets(reply, U'-');
  const int64_t n_wanted = integer_of(rule, "num_bullets");
  return verdict(static_cast<int64_t>(n_found) == n_wanted,
                 fmt::format("found {} bullet points, expected exactly {}", n_found, n_wanted));
}

RuleVerdict check_constrained(const Rule&, TextView reply) {
  for (const TextView choice : kChoices) {
    if (reply.find(choice) != TextView::npos) {
      return verdict(true, fmt::format("found {}", quoted(choice)));
    }
  }
  return verdict(false,
                 "found none of 'My answer is yes.', 'My answer is no.', 'My answer is maybe.'");
}

// Stretches of a line between two marks ("*" or "**") that hold more than white space. A mark that
// closed one stretch does not open the next.
size_t count_highlights(TextView reply, TextView mark) {
  size_t n_found = 0;
  for (size_t i = reply.find(mark); i != TextView::npos; i = reply.find(mark, i)) {
    const size_t start = i + mark.size();
    const size_t end = reply.find_first_of(U"*\n", start);
    if (end == TextView::npos || reply.substr(end, mark.size()) != mark) {
      ++i;
      continue;
    }
    n_found += is_blank(reply.substr(start, end - start)) ? 0 : 1;
    i = end + mark.size();
  }
  return n_found;
}

RuleVerdict check_highlights(const Rule& rule, TextView reply) {
  // "**bold**" counts once, as double: as single it is two empty stretches around a lost one.
  const size_t n_found = count_highlights(reply, U"*") + count_highlights(reply, U"**");
  const int64_t n_wanted = integer_of(rule, "num_highlights");
  return verdict(
      static_cast<int64_t>(n_found) >= n_wanted,
      fmt::format("found {} highlighted sections, expected at least {}", n_found, n_wanted));
}

Pattern section_pattern(const Rule& rule) {
  const Text splitter = text_of(rule, "section_spliter");
  return Pattern(U"\\s?" + Text(strip(splitter)) + U"\\s?\\d+\\s?", CaseRule::kExact);
}

RuleVerdict check_sections(const Rule& rule, TextView reply) {
  const Pattern pattern = section_pattern(rule);
  // A group in the splitter adds its text to the pieces: so counts the public checker.
  const size_t n_found = pattern.count_in(reply) * (1 + pattern.n_groups());
  const int64_t n_wanted = integer_of(rule, "num_sections");
  return verdict(static_cast<int64_t>(n_found) >= n_wanted,
                 fmt::format("found {} sections, expected at least {}", n_found, n_wanted));
}

RuleVerdict check_json(const Rule&, TextView reply) {
  const bool has_passed = is_fenced_json(reply);
  return verdict(has_passed,
                 has_passed ? "found one JSON value" : "found no valid JSON, expected one value");
}

// "<<" ... ">>" on one line, the longest stretch, with something other than brackets in it.
RuleVerdict check_title(const Rule&, TextView reply) {
  for (const TextView line : split(reply, U"\n")) {
    const size_t start = line.find(U"<<");
    const size_t end = line.rfind(U">>");
    if (start == TextView::npos || end == TextView::npos || end < start + 3) {
      continue;
    }
    TextView title = line.substr(start, end + 2 - start);
    title.remove_prefix(std::min(title.find_first_not_of(U'<'), title.size()));
    title = title.substr(0, title.find_last_not_of(U'>') + 1);
    if (!is_blank(title)) {
      return verdict(true, fmt::format("found the title {}", quoted(title)));
    }
  }
  return verdict(false, "found no title, expected <<title>>");
}

}  // namespace

std::vector<RuleSpec> format_rules() {
  return {
      {.id = "detectable_format:number_bullet_lists",
       .summary = "There are exactly so many bullet points, marked with * or -.",
       .parameters = {{.name = "num_bullets", .kind = ParameterKind::kInteger}},
       .check = check_bullets},
      {.id = "detectable_format:constrained_response",
       .summary = "The reply contains My answer is yes., My answer is no. or My answer is maybe.",
       .parameters = {},
       .check = check_constrained},
      {.id = "detectable_format:number_highlighted_sections",
       .summary = "At least so many stretches are highlighted with * or **.",
       .parameters = {{.name = "num_highlights", .kind = ParameterKind::kInteger}},
       .check = check_highlights},
      {.id = "detectable_format:multiple_sections",
       .summary = "There are at least so many sections, each begun by the word and a number.",
       .parameters = {{.name = "section_spliter"},
                      {.name = "num_sections", .kind = ParameterKind::kInteger}},
       .check = check_sections,
       .extra_check = [](const Rule& rule) { section_pattern(rule); }},
      {.id = "detectable_format:json_format",
       .summary = "The whole reply is JSON; a Markdown fence around it is allowed.",
       .parameters = {},
       .check = check_json},
      {.id = "detectable_format:title",
       .summary = "There is a title in double angular brackets.",
       .parameters = {},
       .check = check_title},
  };
}

}  // namespace ebb::eval
