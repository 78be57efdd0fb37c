// report.html: the whole study on one page that opens from a disk, without a network. Tables and
// figures are plain HTML; replies side by side and the cache map need the page's own script.
#pragma once

#include <string>
#include <string_view>

#include "report/analysis.h"

namespace ebb::report {

struct FigureText {
  std::string svg;      // "" where there is none
  std::string problem;  // and then why
};

std::string report_html(const StudyData& data, const Analysis& analysis, const FigureText& figure);

// & < > " ' as entities; what is not UTF-8, and NUL, becomes U+FFFD.
std::string html_text(std::string_view text);

// What the page's script shows, as JSON that may stand inside a <script> element.
std::string page_data(const StudyData& data);

}  // namespace ebb::report
