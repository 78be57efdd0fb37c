#include "report/figure1.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "report/csv.h"

namespace ebb::report {
namespace {

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

// Of a query-visible arm: the caption says what it means.
constexpr const char* kMark = " (q)";

// Labels of tics are formats, where % starts a number.
std::string tic_text(const ArmFacts& arm) {
  std::string out;
  for (const char c : cut(one_line(arm.info.name), kLabelCharactersMax)) {
    out += c == '%' ? "%%" : std::string(1, c);
  }
  return gp_text(out + (arm.is_query_visible ? kMark : ""));
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

void add_effects(const Analysis& analysis, std::vector<Row>& out) {
  for (size_t place = 0; place < analysis.arms.size(); ++place) {
    if (analysis.arms[place].info.kind != "baseline" || analysis.effects.empty()) continue;
    out.push_back({.panel = "effect",
                   .series = place,
                   .x = 0,
                   .x_interval = stats::Interval{},
                   .y = static_cast<double>(place),
                   .label = analysis.arms[place].info.name});
  }
  for (const stats::ArmRow& row : analysis.effects) {
    const size_t place = place_of(analysis, row.arm);
    out.push_back({.panel = "effect",
                   .series = place,
                   .x = row.diff->mean,
                   .x_interval = or_point(row.diff->interval, row.diff->mean),
                   .y = static_cast<double>(place),
                   .label = row.arm});
  }
}

void add_forgetting(const Analysis& analysis, std::vector<Row>& out) {
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
}

void add_dose(const Analysis& analysis, std::vector<Row>& out) {
  const DoseCurve* dose = shown_dose(analysis);
  if (dose == nullptr) return;
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
}

std::vector<Row> rows_of(const Analysis& analysis) {
  std::vector<Row> out;
  add_effects(analysis, out);
  add_forgetting(analysis, out);
  add_dose(analysis, out);
  return out;
}

// Columns of one series of one panel for `using`; other rows are skipped.
std::string source(std::string_view panel, size_t series, std::initializer_list<int> columns) {
  std::string out;
  for (const int column : columns) {
    out += fmt::format("{}(only('{}', {}, {}))", out.empty() ? "" : ":", panel, series, column);
  }
  return "data using " + out;
}

// The distance of about four tics over the range: 1, 2 or 5 times a power of ten.
double tic_step(double low, double high) {
  const double rough = std::max(high - low, 1e-6) / 4;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= rough) return times * power;
  }
  return 10 * power;
}

// What stands where a panel has nothing to show, broken at spaces.
std::string empty_panel(const std::string& reason) {
  std::string out = "  unset xtics; unset ytics; unset xlabel; unset ylabel; set border 0\n";
  std::vector<std::string> lines{""};
  std::string word;
  for (const char c : reason + " ") {
    if (c != ' ') {
      word += c;
      continue;
    }
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > 20) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    word.clear();
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    out += fmt::format("  set label {} {} at graph 0.5, graph {:.3f} center\n", i + 1,
                       gp_text(lines[i]), 0.6 - 0.07 * static_cast<double>(i));
  }
  return out + "  plot [0:1][0:1] NaN notitle\n  unset label; set border 3\n";
}

std::set<std::string> arms_of(const DoseCurve& curve) {
  std::set<std::string> out;
  for (const DosePoint& point : curve.points) out.insert(point.arm);
  return out;
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
  std::string out = "  set title 'a  Loss by arm' offset 0,-0.4\n";
  if (analysis.effects.empty()) return out + empty_panel("no arm to compare with a baseline");
  std::string tics;
  std::vector<std::string> parts;
  stats::Interval range;
  for (const Row& row : rows_of(analysis)) {
    if (row.panel != "effect") continue;
    tics += fmt::format("{}{} {}", tics.empty() ? "" : ", ", tic_text(analysis.arms[row.series]),
                        row.series);
    parts.push_back(source("effect", row.series, {3, 6, 4, 5}) + " with xerrorbars " +
                    points_style(analysis, row.series));
    range = {std::min(range.low, row.x_interval->low), std::max(range.high, row.x_interval->high)};
    if (analysis.arms[row.series].info.kind == "no_instruction") {
      out += fmt::format(
          "  set arrow from {0}, graph 0 to {0}, graph 1 nohead dt 2 lw 1 lc rgb '#555555' back\n",
          *row.x);
    }
  }
  if (range.low == range.high) range = {-0.1, 0.1};
  const double step = tic_step(range.low, range.high);
  out += fmt::format("  set ytics ({}); set yrange [{}:-0.7]\n", tics,
                     static_cast<double>(analysis.arms.size()) - 0.3);
  out += "  set arrow from 0, graph 0 to 0, graph 1 nohead lw 0.8 lc rgb '#000000' back\n";
  out += fmt::format("  set xrange [{:.6g}:{:.6g}]; set xtics {:.6g}\n", range.low - step / 3,
                     range.high + step / 3, step);
  out += fmt::format("  set xlabel {}\n", gp_text("baseline - arm, " + analysis.primary.endpoint));
  return out + plot(parts) + "  unset arrow\n";
}

std::string forgetting_panel(const Analysis& analysis) {
  std::string out = "  set title 'b  Kept and remembered' offset 0,-0.4\n";
  if (analysis.forgetting.empty()) return out + empty_panel("no baseline to count cells against");
  std::vector<std::string> parts;
  for (size_t line = 0; line < joined(analysis).size(); ++line) {
    parts.push_back(source("forgetting_line", line, {3, 6}) +
                    " with lines lw 1 lc rgb '#999999' notitle");
  }
  // Backwards: where points coincide, the arms listed first are on top.
  for (auto point = analysis.forgetting.rbegin(); point != analysis.forgetting.rend(); ++point) {
    const size_t place = place_of(analysis, point->arm);
    parts.push_back(source("forgetting", place, {3, 6, 7, 8}) + " with yerrorbars " +
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
    return out +
           empty_panel(analysis.doses.empty() ? "no outcome" : analysis.doses.front().empty_reason);
  }
  // The curve has the colour of its arm in panel a.
  const std::string colour =
      style_of(analysis, place_of(analysis, dose->points.front().arm)).colour;
  std::vector<std::string> parts;
  for (const std::string& arm : arms_of(*dose)) {
    parts.push_back(source("dose_point", place_of(analysis, arm), {3, 6}) +
                    " with points pt 6 ps 0.3 lc rgb '#707070' notitle");
  }
  parts.push_back(source("dose", 0, {3, 7, 8}) +
                  fmt::format(" with filledcurves fs transparent solid 0.25 noborder lc rgb '{}' "
                              "notitle",
                              colour));
  parts.push_back(source("dose", 0, {3, 6}) +
                  fmt::format(" with linespoints pt 7 ps 0.35 lw 1.5 lc rgb '{}' notitle", colour));
  for (auto arm = dose->arms.rbegin(); arm != dose->arms.rend(); ++arm) {
    const size_t place = place_of(analysis, arm->arm);
    parts.push_back(source("dose_arm", place, {3, 6}) + " with points " +
                    points_style(analysis, place));
  }
  out += "  set xrange [0:1.05]; set xtics 0.25; set yrange [*:*]; set ytics autofreq\n";
  out += fmt::format("  set xlabel 'instruction cells kept'\n  set ylabel {} offset 1,0\n",
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
    const bool is_marked = analysis.arms[place_of(analysis, row.arm)].is_query_visible;
    n_label = std::max(n_label, std::min(row.arm.size(), kLabelCharactersMax + 3) +
                                    (is_marked ? std::string_view(kMark).size() : 0));
  }
  const double height = std::max(2.6, 1.3 + 0.2 * static_cast<double>(analysis.arms.size()));
  // Letters are about 4.9 points wide in a page of 7.2 inches of 72 points.
  const double left = 0.02 + 4.9 * static_cast<double>(n_label) / (7.2 * 72);
  std::string out = fmt::format(
      "# Run in the folder of figure1.csv: gnuplot figure1.gp\n"
      "if (!exists('suffix')) suffix = ''\n"
      "set encoding utf8\n"
      "set datafile separator ','\n"
      "data = 'figure1.csv'\n"
      "only(panel, series, n) = strcol(1) eq panel && column(2) == series ? column(n) : NaN\n"
      "do for [kind in 'svg png pdf'] {{\n"
      "  if (kind eq 'svg') {{ set terminal svg noenhanced size 840,{0:.0f} font 'sans-serif,13' "
      "background '#ffffff' }}\n"
      "  if (kind eq 'png') {{ set terminal pngcairo noenhanced size 1440,{1:.0f} font 'sans,8' "
      "fontscale 2.08 linewidth 2.08 pointscale 2.08 background '#ffffff' }}\n"
      "  if (kind eq 'pdf') {{ set terminal pdfcairo noenhanced size 7.2in,{2:.2f}in font 'sans,8' "
      "background '#ffffff' }}\n"
      "  set output 'figure1.'.kind.suffix\n"
      "  set multiplot\n"
      "  set offsets 0, 0, graph 0.06, graph 0.06\n"
      "  set border 3 lw 0.8; set tics nomirror out scale 0.5; set grid lw 0.4 lc rgb '#dddddd'\n"
      "  set tmargin at screen 0.89; set bmargin at screen {3:.3f}\n",
      height * 840 / 7.2, height * 200, height, 0.52 / height);
  const double gap = 0.115;  // of the labels of a vertical axis
  const double width = (0.985 - left - 2 * gap) / 3;
  const std::array panels{effect_panel(analysis), forgetting_panel(analysis), dose_panel(analysis)};
  for (size_t i = 0; i < panels.size(); ++i) {
    const double begin = left + static_cast<double>(i) * (width + gap);
    out += fmt::format("  set lmargin at screen {:.4f}; set rmargin at screen {:.4f}\n", begin,
                       begin + width);
    out += panels[i];
    out += "  set xtics nomirror out scale 0.5; set ytics nomirror out scale 0.5\n";
  }
  return out + "  unset multiplot\n  unset output\n}\n";
}

}  // namespace ebb::report
