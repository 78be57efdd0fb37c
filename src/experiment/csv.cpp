#include "experiment/csv.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace ebb::experiment {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::vector<CsvRow> rows() {
    std::vector<CsvRow> out;
    while (at_ < text_.size()) {
      CsvRow row = next_row();
      const bool is_empty = row.fields.size() == 1 && row.fields[0].empty();
      if (!is_empty) out.push_back(std::move(row));
    }
    return out;
  }

 private:
  bool is_at_end_of_line() const {
    return at_ >= text_.size() || text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n";
  }

  CsvRow next_row() {
    CsvRow row{line_, {next_field()}};
    while (!is_at_end_of_line()) {
      ++at_;  // the comma
      row.fields.push_back(next_field());
    }
    if (at_ < text_.size()) at_ += text_[at_] == '\r' ? 2 : 1;
    ++line_;
    return row;
  }

  // Leaves the reader at a comma or at the end of the line.
  std::string next_field() {
    if (at_ < text_.size() && text_[at_] == '"') return quoted_field();
    const size_t from = at_;
    while (!is_at_end_of_line() && text_[at_] != ',') ++at_;
    return std::string(text_.substr(from, at_ - from));
  }

  std::string quoted_field() {
    std::string out;
    const int first_line = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        out += text_[at_];
      } else if (text_.substr(at_, 2) == "\"\"") {
        out += '"';
        ++at_;
      } else {
        ++at_;
        if (!is_at_end_of_line() && text_[at_] != ',') {
          throw Error::make(ErrorKind::kBadData,
                            "{}:{}: found text after a closing quote, expected a comma or the end "
                            "of the line",
                            where_, line_);
        }
        return out;
      }
    }
    throw Error::make(ErrorKind::kBadData, "{}:{}: found a quote that is never closed, expected \"",
                      where_, first_line);
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view text, const std::string& where) {
  if (const size_t good = well_formed_bytes(text); good < text.size()) {
    throw Error::make(
        ErrorKind::kBadData, "{}:{}: found bytes that are not UTF-8", where,
        1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(good), '\n'));
  }
  return Reader(text, where).rows();
}

}  // namespace ebb::experiment
