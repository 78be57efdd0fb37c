#include "report/table1.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/cache_in_force.h"
#include "report/csv.h"

namespace ebb::report {
namespace {

using stats::ArmRow;

constexpr std::string_view kNone = "-";

std::string or_none(std::optional<double> value, std::string (*text_of)(double)) {
  return value ? text_of(*value) : std::string(kNone);
}

std::string count_text(double value) {
  const std::string text = fmt::format("{:.1f}", value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

std::string percent_text(double share) { return fmt::format("{:.0f}%", 100 * share); }

std::map<std::string, const ArmFacts*> facts_by_name(const Analysis& analysis) {
  std::map<std::string, const ArmFacts*> out;
  for (const ArmFacts& facts : analysis.arms) out[facts.info.name] = &facts;
  return out;
}

TextTable arms_table(const Analysis& analysis) {
  const std::string level = fmt::format("{:g}% CI", 100 * (1 - analysis.study.alpha));
  TextTable out{.title = "Arms: " + analysis.primary.endpoint,
                .header = {"arm", "mean [" + level + "]", "n", "seeds", "sd", "cells kept", "kept",
                           "bytes kept", "cap hits", "loops", "reply tokens", "positions"}};
  const auto by_name = facts_by_name(analysis);
  for (const ArmRow& row : analysis.primary.rows) {
    if (!row.contrast.empty()) continue;
    const auto found = by_name.find(row.arm);
    const ArmFacts facts = found == by_name.end() ? ArmFacts{} : *found->second;
    out.rows.push_back(
        {row.arm + (facts.is_query_visible ? " (query-visible)" : "") +
             (facts.never_removed ? " (!)" : ""),
         estimate_text(row.score), std::to_string(row.n_conversations), std::to_string(row.n_seeds),
         row.n_conversations > 1 ? score_text(row.score.sd) : std::string(kNone),
         or_none(facts.cells_kept, count_text), or_none(facts.kept_of_baseline, percent_text),
         or_none(facts.bytes_kept, bytes_text), or_none(facts.cap_hit_rate, percent_text),
         or_none(facts.loop_rate, percent_text), or_none(facts.reply_tokens, count_text),
         facts.info.positions});
  }
  return out;
}

std::string p_cell(const ArmRow& row) {
  if (row.is_identical) return "identical";
  return or_none(row.p, p_text);
}

std::string family_text(const ArmRow& row) {
  return row.family == stats::Family::kConfirmatory ? "confirmatory" : "exploratory";
}

TextTable contrasts_table(const Analysis& analysis) {
  TextTable out{.title = "Contrasts: " + analysis.primary.endpoint + ", first arm minus second",
                .header = {"contrast", "difference", "p corrected", "family", "n", "p", "Hedges' g",
                           "right to wrong", "wrong to right", "equivalent"}};
  for (const ArmRow& row : analysis.primary.rows) {
    if (row.contrast.empty()) continue;
    std::string equivalent(kNone);
    if (row.equivalence) {
      equivalent =
          fmt::format("{} (within {})", row.equivalence->is_equivalent ? "yes" : "no",
                      margin_text(row.equivalence->margin.high, analysis.primary.endpoint));
    }
    out.rows.push_back({row.contrast, row.diff ? estimate_text(*row.diff) : std::string(kNone),
                        row.is_identical ? "identical" : or_none(row.p_corrected, p_text),
                        family_text(row), std::to_string(row.n_conversations), p_cell(row),
                        or_none(row.effect_size, score_text), or_none(row.c2w, count_text),
                        or_none(row.w2c, count_text), equivalent});
  }
  return out;
}

std::vector<std::string> notes_of(const Analysis& analysis) {
  std::vector<std::string> out;
  for (const std::string& warning : analysis.warnings) out.push_back("WARNING: " + warning);
  out.push_back(
      "n counts conversations: seeds are averaged within a conversation before pairing. "
      "Differences are first minus second.");
  out.push_back(
      "Cells kept, kept and bytes kept are those that the last reply was made from: after the turn "
      "before it, since an event at the end of the last turn comes after that reply.");
  if (std::any_of(analysis.arms.begin(), analysis.arms.end(),
                  [](const ArmFacts& facts) { return facts.is_query_visible; })) {
    out.push_back(
        "query-visible: the arm's policy runs between a message and the end of its reply, so it "
        "may know what is asked. That is an easier task than deciding before the message exists, "
        "and not to be compared with it as if it were the same. Its cells are those after the last "
        "turn, and kept compares them with the baseline's after that turn.");
  }
  bool is_identical = false;
  for (const ArmRow& row : analysis.primary.rows) {
    is_identical = is_identical || row.is_identical;
    if (row.contrast.empty() || row.note.empty() || row.is_identical) continue;
    out.push_back(fmt::format("{}: {}", row.contrast, row.note));
  }
  if (is_identical) {
    out.push_back(
        "identical: every difference is zero by construction, nothing was tested and there is no "
        "p.");
  }
  for (const ArmRow& row : analysis.primary.rows) {
    if (row.contrast.empty() || !row.diff) continue;
    out.push_back(
        fmt::format("Test: {}; corrected by {} in the confirmatory family, {} elsewhere. "
                    "Intervals: {}.",
                    row.test, analysis.study.confirmatory_correction,
                    analysis.study.exploratory_correction, row.diff->interval_method));
    break;
  }
  out.push_back("Exploratory contrasts generate hypotheses; only confirmatory ones test them.");
  return out;
}

std::string replaced(const std::string& text, const std::map<char, std::string>& with) {
  std::string out;
  for (const char c : text) {
    const auto found = with.find(c);
    if (found == with.end()) {
      out += c;
    } else {
      out += found->second;
    }
  }
  return out;
}

std::string tex_text(const std::string& text) {
  static const std::map<char, std::string> kSpecial{{'&', "\\&"},
                                                    {'%', "\\%"},
                                                    {'$', "\\$"},
                                                    {'#', "\\#"},
                                                    {'_', "\\_"},
                                                    {'{', "\\{"},
                                                    {'}', "\\}"},
                                                    {'~', "\\textasciitilde{}"},
                                                    {'<', "\\textless{}"},
                                                    {'>', "\\textgreater{}"},
                                                    {'^', "\\textasciicircum{}"},
                                                    {'\\', "\\textbackslash{}"},
                                                    {'\n', " "},
                                                    {'\r', " "}};
  return replaced(text, kSpecial);
}

// A cell may hold what Markdown or HTML in it would read as markup.
std::string md_text(const std::string& text) {
  static const std::map<char, std::string> kSpecial{
      {'|', "\\|"},  {'*', "\\*"},  {'_', "\\_"},   {'`', "\\`"}, {'\\', "\\\\"},
      {'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'\n', " "},  {'\r', " "}};
  return replaced(text, kSpecial);
}

std::string md_table(const TextTable& table) {
  std::string out = fmt::format("**{}**\n\n|", md_text(table.title));
  for (const std::string& name : table.header) out += fmt::format(" {} |", md_text(name));
  out += "\n|";
  for (size_t i = 0; i < table.header.size(); ++i) out += i < table.n_left ? " --- |" : " ---: |";
  for (const auto& row : table.rows) {
    out += "\n|";
    for (const std::string& cell : row) out += fmt::format(" {} |", md_text(cell));
  }
  return out + "\n";
}

std::string tex_table(const TextTable& table) {
  std::string columns(table.n_left, 'l');
  columns.append(table.header.size() - table.n_left, 'r');
  std::string out = fmt::format("% {}\n\\begin{{tabular}}{{{}}}\n\\toprule\n",
                                replaced(table.title, {{'\n', " "}}), columns);
  const auto add = [&](const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
      out += (i == 0 ? "" : " & ") + tex_text(cells[i]);
    }
    out += " \\\\\n";
  };
  add(table.header);
  out += "\\midrule\n";
  for (const auto& row : table.rows) add(row);
  return out + "\\bottomrule\n\\end{tabular}\n";
}

size_t n_characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string padded(const std::string& text, size_t width, bool is_left) {
  const std::string space(width - std::min(width, n_characters(text)), ' ');
  return is_left ? text + space : space + text;
}

std::string terminal_table(const TextTable& table, size_t width) {
  std::vector<size_t> widths;
  for (const std::string& name : table.header) widths.push_back(n_characters(name));
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], n_characters(row[i]));
  }
  size_t n_columns = 0;
  size_t used = 0;
  while (n_columns < widths.size() && (n_columns < 2 || used + 2 + widths[n_columns] <= width)) {
    used += (n_columns == 0 ? 0 : 2) + widths[n_columns];
    ++n_columns;
  }
  std::string out = table.title + "\n";
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < n_columns; ++i) {
      line += (i == 0 ? "" : "  ") + padded(cells[i], widths[i], i < table.n_left);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add(table.header);
  out += std::string(std::min(used, std::max(width, size_t{1})), '-') + "\n";
  for (const auto& row : table.rows) {
    // A newline in a name would break the columns.
    std::vector<std::string> cells;
    for (const std::string& cell : row) cells.push_back(replaced(cell, {{'\n', " "}, {'\r', " "}}));
    add(cells);
  }
  if (n_columns < table.header.size()) {
    out += fmt::format("({} more columns in table1.csv)\n", table.header.size() - n_columns);
  }
  return out;
}

// Breaks at spaces; further lines start with two spaces.
std::string wrapped(const std::string& text, size_t width) {
  std::string out;
  size_t column = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (column > 0 && column + 1 + n_characters(word) > width) {
      out += "\n  ";
      column = 2;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += n_characters(word);
    begin = end + 1;
  }
  return out + "\n";
}

std::vector<std::string> csv_fields(const ArmRow& row, const ArmFacts& facts) {
  const bool has_numbers = row.n_conversations > 0;
  return {row.arm,
          row.contrast,
          number_text(row.n_conversations),
          number_text(row.n_seeds),
          has_numbers ? number_text(row.score.mean) : "",
          has_numbers ? number_text(row.score.sd) : "",
          low_text(row.score.interval),
          high_text(row.score.interval),
          row.diff ? number_text(row.diff->mean) : "",
          number_text(row.effect_size),
          row.test,
          row.contrast.empty() ? "" : family_text(row),
          number_text(row.p),
          number_text(row.p_corrected),
          number_text(row.c2w),
          number_text(row.w2c),
          number_text(facts.cells_kept),
          number_text(facts.bytes_kept),
          facts.info.positions,
          shown_scope(facts.info),
          number_text(facts.cap_hit_rate),
          row.diff ? low_text(row.diff->interval) : "",
          row.diff ? high_text(row.diff->interval) : "",
          facts.never_removed ? "never removed a cell" : "",
          row.note};
}

}  // namespace

std::string score_text(double value) {
  const std::string text = fmt::format("{:.3f}", value);
  return text == "-0.000" ? "0.000" : text;
}

std::string p_text(double p) { return p < 0.001 ? "<0.001" : fmt::format("{:.3f}", p); }

std::string bytes_text(double n_bytes) {
  if (n_bytes >= 1e9) return fmt::format("{:.2f} GB", n_bytes / 1e9);
  if (n_bytes >= 1e6) return fmt::format("{:.1f} MB", n_bytes / 1e6);
  if (n_bytes >= 1e3) return fmt::format("{:.1f} kB", n_bytes / 1e3);
  return fmt::format("{:.0f} B", n_bytes);
}

std::string margin_text(double margin, const std::string& endpoint) {
  const bool is_in_nats = endpoint == "recall" || endpoint == "kl" || endpoint == "delta_loglik";
  return fmt::format("{:g}{} of {}", margin, is_in_nats ? " nats a token" : "", endpoint);
}

std::string estimate_text(const stats::Estimate& estimate) {
  if (!estimate.interval) return score_text(estimate.mean);
  return fmt::format("{} [{}, {}]", score_text(estimate.mean), score_text(estimate.interval->low),
                     score_text(estimate.interval->high));
}

PrintedTables printed_tables(const Analysis& analysis) {
  return {arms_table(analysis), contrasts_table(analysis), notes_of(analysis)};
}

std::string table1_csv(const Analysis& analysis) {
  Csv csv({"arm",         "contrast",     "n_conversations",
           "n_seeds",     "mean",         "sd",
           "ci_low",      "ci_high",      "diff",
           "effect_size", "test",         "family",
           "p",           "p_corrected",  "c2w",
           "w2c",         "cells_kept",   "bytes_kept",
           "positions",   "scope",        "cap_hit_rate",
           "diff_ci_low", "diff_ci_high", "warning",
           "note"});
  const auto by_name = facts_by_name(analysis);
  for (const ArmRow& row : analysis.primary.rows) {
    const auto found = by_name.find(row.arm);
    csv.add(csv_fields(row, found == by_name.end() ? ArmFacts{} : *found->second));
  }
  return csv.text();
}

std::string table1_md(const Analysis& analysis) {
  const PrintedTables tables = printed_tables(analysis);
  std::string out = md_table(tables.arms) + "\n";
  if (!tables.contrasts.rows.empty()) out += md_table(tables.contrasts) + "\n";
  for (const std::string& note : tables.notes) out += fmt::format("- {}\n", md_text(note));
  return out;
}

std::string table1_tex(const Analysis& analysis) {
  const PrintedTables tables = printed_tables(analysis);
  std::string out = "% Needs \\usepackage{booktabs}\n" + tex_table(tables.arms);
  if (!tables.contrasts.rows.empty()) out += "\n" + tex_table(tables.contrasts);
  out += "\n\\begin{itemize}\n";
  for (const std::string& note : tables.notes) out += fmt::format("\\item {}\n", tex_text(note));
  return out + "\\end{itemize}\n";
}

std::string table1_terminal(const Analysis& analysis, size_t width) {
  const PrintedTables tables = printed_tables(analysis);
  std::string out = terminal_table(tables.arms, width) + "\n";
  if (!tables.contrasts.rows.empty()) out += terminal_table(tables.contrasts, width) + "\n";
  for (const std::string& note : tables.notes) out += wrapped(note, width);
  return out;
}

}  // namespace ebb::report
