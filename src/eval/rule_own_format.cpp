// ebb:* rules on layout: lists, tables, paragraphs, JSON. Stricter than detectable_format:*, which
// counts any line that begins with a mark.
#include <fmt/format.h>

#include <algorithm>

#include "eval/rule_table.h"
#include "eval/text_json.h"

namespace ebb::eval {
namespace {

constexpr int64_t kLeastItems = 2;  // one item is no list

int64_t items_wanted(const Rule& rule) {
  return rule.parameters.contains("items") ? integer_of(rule, "items") : kLeastItems;
}

// The number before ". " or ") " at the start of a line, 0 where there is none.
int64_t item_number(TextView line) {
  int64_t number = 0;
  size_t i = 0;
  for (; i < line.size() && i < 9 && line[i] >= U'0' && line[i] <= U'9'; ++i) {
    number = number * 10 + static_cast<int64_t>(line[i] - U'0');
  }
  const bool has_mark =
      i > 0 && i + 1 < line.size() && (line[i] == U'.' || line[i] == U')') && is_space(line[i + 1]);
  return has_mark ? number : 0;
}

RuleVerdict check_numbered_list(const Rule& rule, TextView reply) {
  int64_t n_found = 0;
  for (const TextView line : split(reply, U"\n")) {
    n_found += item_number(strip(line)) == n_found + 1 ? 1 : 0;
  }
  const int64_t n_wanted = items_wanted(rule);
  return verdict(
      n_found >= n_wanted,
      fmt::format("found {} items numbered from 1, expected at least {}", n_found, n_wanted));
}

RuleVerdict check_bullet_list(const Rule& rule, TextView reply) {
  int64_t n_found = 0;
  for (const TextView piece : split(reply, U"\n")) {
    const TextView line = strip(piece);
    const bool has_mark = !line.empty() && TextView(U"-*+•").find(line[0]) != TextView::npos;
    n_found += has_mark && line.size() > 2 && is_space(line[1]) ? 1 : 0;
  }
  const int64_t n_wanted = items_wanted(rule);
  return verdict(n_found >= n_wanted,
                 fmt::format("found {} bullet points, expected at least {}", n_found, n_wanted));
}

RuleVerdict check_single_paragraph(const Rule&, TextView reply) {
  size_t n_found = 0;
  bool is_inside = false;
  for (const TextView line : split(reply, U"\n")) {
    n_found += !is_blank(line) && !is_inside ? 1 : 0;
    is_inside = !is_blank(line);
  }
  return verdict(n_found == 1, fmt::format("found {} paragraphs, expected 1", n_found));
}

// Cells of a row such as "| a | b |"; 0 where the line has no bar.
size_t count_columns(TextView line) {
  TextView row = strip(line);
  if (row.find(U'|') == TextView::npos) {
    return 0;
  }
  if (row.starts_with(U'|')) {
    row.remove_prefix(1);
  }
  if (row.ends_with(U'|')) {
    row.remove_suffix(1);
  }
  return static_cast<size_t>(std::count(row.begin(), row.end(), U'|')) + 1;
}

bool is_table_rule(TextView line) {
  return line.find(U'-') != TextView::npos && line.find_first_not_of(U"|-: \t\r") == TextView::npos;
}

// A row of headings and, below it, the rule of dashes with as many columns.
RuleVerdict check_table(const Rule&, TextView reply) {
  const std::vector<TextView> lines = split(reply, U"\n");
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t n_columns = count_columns(lines[i]);
    if (is_table_rule(lines[i]) && n_columns > 0 && count_columns(lines[i - 1]) == n_columns) {
      return verdict(true, fmt::format("found a table of {} columns", n_columns));
    }
  }
  return verdict(false, "found no Markdown table, expected one");
}

RuleVerdict check_json(const Rule&, TextView reply) {
  const bool has_passed = is_fenced_json(reply);
  return verdict(has_passed,
                 has_passed ? "found one JSON value" : "found no valid JSON, expected one value");
}

}  // namespace

std::vector<RuleSpec> own_format_rules() {
  const std::vector<ParameterSpec> items = {
      {.name = "items", .kind = ParameterKind::kInteger, .need = Need::kOptional, .least = 1}};
  return {
      {"ebb:numbered_list", "There is a list numbered from 1, of at least so many items (2).",
       items, check_numbered_list},
      {"ebb:bullet_list", "There is a bullet list of at least so many items (2).", items,
       check_bullet_list},
      {"ebb:single_paragraph",
       "There is no empty line inside the reply.",
       {},
       check_single_paragraph},
      {"ebb:table", "There is a Markdown table.", {}, check_table},
      {"ebb:json", "The whole reply is JSON; a Markdown fence is allowed.", {}, check_json},
  };
}

}  // namespace ebb::eval
