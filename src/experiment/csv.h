// CSV as RFC 4180 has it: quoted fields may hold commas, line breaks and doubled quotes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ebb::experiment {

struct CsvRow {
  int line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// Empty lines are left out.  Throws: kBadData for bytes that are no UTF-8, and a quote that is
// never closed or is followed by other text.
std::vector<CsvRow> parse_csv(std::string_view text, const std::string& where);

}  // namespace ebb::experiment
