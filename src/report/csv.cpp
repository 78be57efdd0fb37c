#include "report/csv.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace ebb::report {
namespace {

void append_field(std::string& out, std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += field;
    return;
  }
  out += '"';
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

std::string number_text(double value) {
  // -0 and 0 are one number to a reader.
  return fmt::format("{}", value == 0 ? 0.0 : value);
}

std::string number_text(std::optional<double> value) { return value ? number_text(*value) : ""; }

std::string low_text(const std::optional<stats::Interval>& interval) {
  return interval ? number_text(interval->low) : "";
}

std::string high_text(const std::optional<stats::Interval>& interval) {
  return interval ? number_text(interval->high) : "";
}

Csv::Csv(std::vector<std::string_view> header) : n_columns_(header.size()) {
  add({header.begin(), header.end()});
}

void Csv::add(const std::vector<std::string>& fields) {
  EBB_CHECK(fields.size() == n_columns_);
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) text_ += ',';
    append_field(text_, readable_utf8(fields[i]));
  }
  text_ += '\n';
}

}  // namespace ebb::report
