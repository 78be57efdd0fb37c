#include "report/figure1.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/platform.h"
#include "report/csv.h"

namespace ebb::report {
namespace {

namespace fs = std::filesystem;

// Okabe and Ito 2008: told apart with any colour vision. Their yellow is too pale for points on
// white, black is for the baseline.
constexpr std::array kColours{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};
// Shapes in another cycle than colours: thirty arms differ in one or the other.
constexpr std::array kShapes{7, 5, 9, 13, 11, 6, 4, 8, 12, 10, 2};
constexpr size_t kLabelCharactersMax = 22;

struct Style {
  std::string colour;
  int shape;
};

Style style_of(const Analysis& analysis, size_t place) {
  if (analysis.arms[place].info.kind == "baseline") return {"#000000", 3};
  return {kColours[place % kColours.size()], kShapes[place % kShapes.size()]};
}

size_t place_of(const Analysis& analysis, const std::string& arm) {
  const auto found = std::find_if(analysis.arms.begin(), analysis.arms.end(),
                                  [&](const ArmFacts& facts) { return facts.info.name == arm; });
  return static_cast<size_t>(found - analysis.arms.begin());
}

// One line without control characters: labels stand in a script and in data read by line.
std::string one_line(const std::string& text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  return out;
}

std::string cut(const std::string& text, size_t n_max) {
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U) continue;
    if (++n > n_max) return text.substr(0, i) + "...";
  }
  return text;
}

// In single quotes gnuplot substitutes nothing: neither backticks nor macros. Only the quote itself
// has to be doubled.
std::string gp_text(const std::string& text) {
  std::string out = "'";
  for (const char c : one_line(text)) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out + "'";
}

const DoseCurve* shown_dose(const Analysis& analysis) {
  for (const DoseCurve& curve : analysis.doses) {
    if (curve.response) return &curve;
  }
  return nullptr;
}

// Policies with several arms in panel b, whose points are joined in the order of x.
std::map<std::string, std::vector<const ForgettingPoint*>> joined(const Analysis& analysis) {
  std::map<std::string, std::vector<const ForgettingPoint*>> out;
  for (const ForgettingPoint& point : analysis.forgetting) out[point.policy].push_back(&point);
  std::erase_if(out, [](const auto& entry) { return entry.second.size() < 2; });
  for (auto& [policy, points] : out) {
    std::stable_sort(points.begin(), points.end(), [](const auto* a, const auto* b) {
      return a->kept_of_baseline < b->kept_of_baseline;
    });
  }
  return out;
}

struct Row {
  std::string panel;
  size_t series = 0;
  std::optional<double> x = {};
  std::optional<stats::Interval> x_interval = {};
  std::optional<double> y = {};
  std::optional<stats::Interval> y_interval = {};
  std::string label = {};
};

// gnuplot's error bars need both ends: without an interval they shrink to the point.
stats::Interval or_point(const std::optional<stats::Interval>& interval, double point) {
  return interval.value_or(stats::Interval{point, point});
}

std::vector<Row> rows_of(const Analysis& analysis) {
  std::vector<Row> out;
  for (const stats::ArmRow& row : analysis.effects) {
    const size_t place = place_of(analysis, row.arm);
    out.push_back({.panel = "effect",
                   .series = place,
                   .x = row.diff->mean,
                   .x_interval = or_point(row.diff->interval, row.diff->mean),
                   .y = static_cast<double>(place),
                   .label = row.arm});
  }
  for (const ForgettingPoint& point : analysis.forgetting) {
    out.push_back({.panel = "forgetting",
                   .series = place_of(analysis, point.arm),
                   .x = point.kept_of_baseline,
                   .y = point.value.mean,
                   .y_interval = or_point(point.value.interval, point.value.mean),
                   .label = point.arm});
  }
  size_t line = 0;
  for (const auto& [policy, points] : joined(analysis)) {
    for (const ForgettingPoint* point : points) {
      out.push_back({.panel = "forgetting_line",
                     .series = line,
                     .x = point->kept_of_baseline,
                     .y = point->value.mean,
                     .label = policy});
    }
    ++line;
  }
  for (const LossPoint& point : analysis.losses) {
    out.push_back({.panel = "kl",
                   .series = place_of(analysis, point.arm),
                   .x = static_cast<double>(point.turns_since_loss),
                   .y = point.kl.mean,
                   .y_interval = or_point(point.kl.interval, point.kl.mean),
                   .label = point.arm});
  }
  const DoseCurve* dose = shown_dose(analysis);
  if (dose == nullptr) return out;
  for (const DosePoint& point : dose->points) {
    out.push_back({.panel = "dose_point",
                   .series = place_of(analysis, point.arm),
                   .x = point.kept_share,
                   .y = point.value,
                   .label = point.unit_id});
  }
  for (const stats::DoseBin& bin : dose->response->bins) {
    if (!bin.y) continue;
    out.push_back({.panel = "dose",
                   .x = bin.mean_x,
                   .x_interval = stats::Interval{bin.low, bin.high},
                   .y = bin.y,
                   .y_interval = or_point(bin.interval, *bin.y),
                   .label = dose->outcome});
  }
  for (const DoseArm& arm : dose->arms) {
    out.push_back({.panel = "dose_arm",
                   .series = place_of(analysis, arm.arm),
                   .x = arm.kept_share,
                   .y = arm.value,
                   .label = arm.arm});
  }
  return out;
}

// `using` of one series of one panel; other rows are skipped.
std::string source(std::string_view panel, size_t series, std::string_view columns) {
  return fmt::format("data using (strcol(1) eq '{}' && $2 == {} ? $3 : NaN):{}", panel, series,
                     columns);
}

// What stands where a panel has nothing to show, broken at spaces.
std::string empty_panel(const std::string& reason) {
  std::string out = "  unset tics; unset xlabel; unset ylabel; unset arrow\n";
  std::vector<std::string> lines{""};
  std::string word;
  for (const char c : reason + " ") {
    if (c != ' ') {
      word += c;
      continue;
    }
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > 24) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    word.clear();
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    out += fmt::format("  set label {} {} at graph 0.5, graph {:.3f} center\n", i + 1,
                       gp_text(lines[i]), 0.6 - 0.07 * static_cast<double>(i));
  }
  return out + "  plot [0:1][0:1] NaN notitle\n  unset label\n";
}

std::string plot(const std::vector<std::string>& parts) {
  std::string out = "  plot ";
  for (size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "" : ", \\\n    ") + parts[i];
  return out + "\n";
}

std::string points_style(const Analysis& analysis, size_t place) {
  const Style style = style_of(analysis, place);
  return fmt::format("pt {} ps 0.7 lw 1.2 lc rgb '{}' notitle", style.shape, style.colour);
}

std::string effect_panel(const Analysis& analysis) {
  std::string out = "  set title 'a  Loss against the baseline' offset 0,-0.4\n";
  if (analysis.effects.empty()) return out + empty_panel("no arm to compare with a baseline");
  std::string tics;
  std::vector<std::string> parts;
  for (const stats::ArmRow& row : analysis.effects) {
    const size_t place = place_of(analysis, row.arm);
    tics += fmt::format("{}{} {}", tics.empty() ? "" : ", ",
                        gp_text(cut(row.arm, kLabelCharactersMax)), place);
    parts.push_back(source("effect", place, "6:4:5") + " with xerrorbars " +
                    points_style(analysis, place));
    if (place < analysis.arms.size() && analysis.arms[place].info.kind == "no_instruction") {
      out += fmt::format(
          "  set arrow from {}, graph 0 to {}, graph 1 nohead dt 2 lw 1 lc rgb '#555555' back\n",
          row.diff->mean, row.diff->mean);
    }
  }
  out += fmt::format("  set ytics ({}); set yrange [{}:-0.7]\n", tics,
                     static_cast<double>(analysis.arms.size()) - 0.3);
  out += "  set arrow from 0, graph 0 to 0, graph 1 nohead lw 0.8 lc rgb '#000000' back\n";
  out += fmt::format("  set xlabel {}\n  set xtics autofreq; set xrange [*:*]\n",
                     gp_text("baseline - arm, " + analysis.primary.endpoint));
  return out + plot(parts) + "  unset arrow\n";
}

std::string forgetting_panel(const Analysis& analysis) {
  std::string out = "  set title 'b  Kept and remembered' offset 0,-0.4\n";
  if (analysis.forgetting.empty()) return out + empty_panel("no baseline to count cells against");
  std::vector<std::string> parts;
  for (size_t line = 0; line < joined(analysis).size(); ++line) {
    parts.push_back(source("forgetting_line", line, "6") +
                    " with lines lw 1 lc rgb '#999999' notitle");
  }
  for (const ForgettingPoint& point : analysis.forgetting) {
    const size_t place = place_of(analysis, point.arm);
    parts.push_back(source("forgetting", place, "6:7:8") + " with yerrorbars " +
                    points_style(analysis, place));
  }
  out += "  set xrange [0:1.05]; set xtics 0.25; set yrange [*:*]; set ytics autofreq\n";
  out += fmt::format("  set xlabel 'cells kept / baseline'\n  set ylabel {} offset 1,0\n",
                     gp_text(analysis.forgetting_endpoint));
  return out + plot(parts);
}

std::string dose_panel(const Analysis& analysis) {
  std::string out = "  set title 'c  Dose and response' offset 0,-0.4\n";
  const DoseCurve* dose = shown_dose(analysis);
  if (dose == nullptr) {
    return out + empty_panel(analysis.doses.empty() ? "no outcome"
                                                    : analysis.doses.front().empty_reason);
  }
  std::vector<std::string> parts{
      "data using (strcol(1) eq 'dose_point' ? $3 : NaN):6 with points pt 6 ps 0.25 lc rgb "
      "'#AAAAAA' notitle",
      source("dose", 0, "7:8") + " with filledcurves fs transparent solid 0.3 noborder lc rgb "
                                 "'#56B4E9' notitle",
      source("dose", 0, "6") + " with linespoints pt 7 ps 0.4 lw 1.5 lc rgb '#0072B2' notitle"};
  for (const DoseArm& arm : dose->arms) {
    const size_t place = place_of(analysis, arm.arm);
    parts.push_back(source("dose_arm", place, "6") + " with points " +
                    points_style(analysis, place));
  }
  out += "  set xrange [0:1.05]; set xtics 0.25; set yrange [*:*]; set ytics autofreq\n";
  out += fmt::format("  set xlabel 'cells of instructions kept'\n  set ylabel {} offset 1,0\n",
                     gp_text(dose->label));
  return out + plot(parts);
}

}  // namespace

std::string figure1_csv(const Analysis& analysis) {
  Csv csv({"panel", "series", "x", "x_low", "x_high", "y", "y_low", "y_high", "label"});
  for (const Row& row : rows_of(analysis)) {
    csv.add({row.panel, number_text(row.series), number_text(row.x), low_text(row.x_interval),
             high_text(row.x_interval), number_text(row.y), low_text(row.y_interval),
             high_text(row.y_interval), one_line(row.label)});
  }
  return csv.text();
}

std::string figure1_gp(const Analysis& analysis) {
  size_t n_label = 8;
  for (const stats::ArmRow& row : analysis.effects) {
    n_label = std::max(n_label, std::min(row.arm.size(), kLabelCharactersMax + 3));
  }
  const double height = std::max(2.6, 1.3 + 0.2 * static_cast<double>(analysis.arms.size()));
  // Letters are about 4.6 points wide in a page of 7.2 inches of 72 points.
  const double left = 0.02 + 4.6 * static_cast<double>(n_label) / (7.2 * 72);
  std::string out = fmt::format(
      "# Run in the folder of figure1.csv: gnuplot figure1.gp\n"
      "if (!exists('suffix')) suffix = ''\n"
      "set encoding utf8\n"
      "set datafile separator ','\n"
      "data = 'figure1.csv'\n"
      "do for [kind in 'svg png pdf'] {{\n"
      "  if (kind eq 'svg') {{ set terminal svg noenhanced size 864,{0:.0f} font 'sans-serif,11' "
      "background '#ffffff' }}\n"
      "  if (kind eq 'png') {{ set terminal pngcairo noenhanced size 1440,{1:.0f} font 'sans,8' "
      "fontscale 2.7 linewidth 2.7 pointscale 2.7 background '#ffffff' }}\n"
      "  if (kind eq 'pdf') {{ set terminal pdfcairo noenhanced size 7.2in,{2:.2f}in font 'sans,8' "
      "background '#ffffff' }}\n"
      "  set output 'figure1.'.kind.suffix\n"
      "  set multiplot\n"
      "  set border 3 lw 0.8; set tics nomirror out scale 0.5; set grid lw 0.4 lc rgb '#dddddd'\n"
      "  set tmargin at screen 0.89; set bmargin at screen {3:.3f}\n",
      height * 120, height * 200, height, 0.52 / height);
  const double gap = 0.115;  // of the labels of a vertical axis
  const double width = (0.985 - left - 2 * gap) / 3;
  const std::array panels{effect_panel(analysis), forgetting_panel(analysis), dose_panel(analysis)};
  for (size_t i = 0; i < panels.size(); ++i) {
    const double begin = left + static_cast<double>(i) * (width + gap);
    out += fmt::format("  set lmargin at screen {:.4f}; set rmargin at screen {:.4f}\n", begin,
                       begin + width);
    out += panels[i];
    out += "  set tics nomirror out scale 0.5\n";
  }
  return out + "  unset multiplot\n  unset output\n}\n";
}

std::string draw_figure1(const fs::path& folder) {
  std::string place = "cd '";
  for (const char c : folder.string()) place += c == '\'' ? "''" : std::string(1, c);
  const std::array<std::string, 4> argv{"gnuplot", "-e", place + "'; suffix = '.part'",
                                        "figure1.gp"};
  platform::ProgramResult result = platform::run_program(argv, std::chrono::seconds(60));
  if (!result.is_found) return "gnuplot is not installed: figure1.svg, .png and .pdf are missing";
  if (result.is_timed_out) return "gnuplot took longer than a minute and was stopped";
  for (const char* kind : {"svg", "png", "pdf"}) {
    const fs::path part = folder / fmt::format("figure1.{}.part", kind);
    std::error_code ignored;
    if (result.exit_code != 0 || !fs::exists(part) || fs::file_size(part) == 0) {
      return fmt::format("gnuplot made no figure1.{} (exit code {}): {}", kind, result.exit_code,
                         result.output);
    }
    fs::rename(part, folder / fmt::format("figure1.{}", kind), ignored);
    if (ignored) return fmt::format("figure1.{}: {}", kind, ignored.message());
  }
  return "";
}

}  // namespace ebb::report
