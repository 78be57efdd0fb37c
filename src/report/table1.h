// Table 1: each arm's score and what it kept, and each planned contrast. The CSV has every column;
// the printed forms choose from them and share one set of texts, so that they cannot disagree.
#pragma once

#include <string>
#include <vector>

#include "report/analysis.h"

namespace ebb::report {

// A table of texts: the first `n_left` columns are words, the others numbers.
struct TextTable {
  std::string title;
  std::vector<std::string> header = {};
  std::vector<std::vector<std::string>> rows = {};
  size_t n_left = 1;
};

struct PrintedTables {
  TextTable arms;
  TextTable contrasts;
  std::vector<std::string> notes;  // warnings first
};

PrintedTables printed_tables(const Analysis& analysis);

std::string table1_csv(const Analysis& analysis);
std::string table1_md(const Analysis& analysis);
// Needs \usepackage{booktabs}.
std::string table1_tex(const Analysis& analysis);
// Lines of at most `width` characters: the last columns go where they do not fit, and it is said.
std::string table1_terminal(const Analysis& analysis, size_t width);

// "0.531"; p values as "0.012" or "<0.001"; bytes as "98.4 MB".
std::string score_text(double value);
std::string p_text(double p);
std::string bytes_text(double n_bytes);
// Of an equivalence test: "0.1 of rules", "0.1 nats a token of recall".
std::string margin_text(double margin, const std::string& endpoint);
// "0.41 [0.32, 0.50]"
std::string estimate_text(const stats::Estimate& estimate);

}  // namespace ebb::report
