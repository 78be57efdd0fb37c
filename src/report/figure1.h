// Figure 1: (a) loss against the baseline by arm, (b) what is remembered against what is kept,
// (c) dose and response. Text for gnuplot and its data; drawing calls gnuplot.
#pragma once

#include <filesystem>
#include <string>

#include "report/analysis.h"

namespace ebb::report {

// panel,series,x,x_low,x_high,y,y_low,y_high,label: see docs/outputs.md.
std::string figure1_csv(const Analysis& analysis);
// Reads figure1.csv in its folder and writes figure1.svg, .png and .pdf there.
std::string figure1_gp(const Analysis& analysis);

// Runs gnuplot on figure1.gp in `folder`.  Returns "", or why there is no figure.
std::string draw_figure1(const std::filesystem::path& folder);

}  // namespace ebb::report
