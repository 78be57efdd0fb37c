#include "report/report_html.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/text.h"
#include "report/arm_order.h"
#include "report/cache_in_force.h"
#include "report/comparisons.h"
#include "report/survival.h"
#include "report/table1.h"

// Made from assets/report.css, .js and .html.
namespace ebb::embedded {
std::string_view report_css();
std::string_view report_js();
std::string_view report_body();
}  // namespace ebb::embedded

namespace ebb::report {
namespace {

// Settings that all arms share say nothing about an arm; config.resolved.toml has them all.
bool is_same_everywhere(const record::StudyInfo& study, const std::string& key,
                        const std::string& value) {
  return std::all_of(study.arms.begin(), study.arms.end(), [&](const record::ArmInfo& arm) {
    const auto found = arm.settings.find(key);
    return found != arm.settings.end() && found->second == value;
  });
}

std::string table_html(const TextTable& table) {
  std::string out = "<div class=\"scroll\"><table>";
  if (!table.title.empty()) out += fmt::format("<caption>{}</caption>", html_text(table.title));
  const auto add = [&](const std::vector<std::string>& cells, const char* tag) {
    out += "<tr>";
    for (size_t i = 0; i < cells.size(); ++i) {
      out += fmt::format("<{}{}>{}</{}>", tag, i < table.n_left ? " class=\"left\"" : "",
                         html_text(cells[i]), tag);
    }
    out += "</tr>\n";
  };
  out += "<thead>";
  add(table.header, "th");
  out += "</thead><tbody>";
  for (const auto& row : table.rows) add(row, "td");
  return out + "</tbody></table></div>\n";
}

std::string section(const char* id, const char* title, const std::string& body) {
  return fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", id, title, body);
}

std::string paragraph(const std::string& text, const char* css_class = "") {
  return fmt::format("<p class=\"{}\">{}</p>\n", css_class, html_text(text));
}

std::string design_section(const Analysis& analysis) {
  const record::StudyInfo& study = analysis.study;
  TextTable facts{.title = "", .header = {"", ""}, .n_left = 2};
  facts.rows = {
      {"model", fmt::format("{} ({}, {} layers x {} KV heads x {})", study.model,
                            study.architecture, study.n_layers, study.n_kv_heads, study.head_dim)},
      {"model file, SHA-256", study.model_sha256},
      {"conversations",
       fmt::format("{} of {} {}", analysis.n_conversations, study.data_name, study.data_version)},
      {"seeds", std::to_string(study.seeds.size())},
      {"units", std::to_string(analysis.n_units)},
      {"history", study.history},
      {"numerics", study.numerics + ", " + study.fingerprint},
      {"primary endpoint", study.primary_endpoint},
      {"test",
       fmt::format("{}, alpha {:g}, confirmatory: {}, exploratory: {}", study.test, study.alpha,
                   study.confirmatory_correction, study.exploratory_correction)}};
  TextTable arms{.title = "Arms",
                 .header = {"arm", "kind", "policy", "positions", "scope", "settings that differ"},
                 .n_left = 6};
  for (const record::ArmInfo& arm : study.arms) {
    std::string settings;
    for (const auto& [key, value] : arm.settings) {
      if (value.empty() || key == "policy" || is_same_everywhere(study, key, value)) continue;
      settings += fmt::format("{}{}={}", settings.empty() ? "" : ", ", key, value);
    }
    arms.rows.push_back(
        {arm.name, arm.kind, arm.policy, arm.positions, shown_scope(arm), settings});
  }
  TextTable contrasts{.title = "Planned contrasts",
                      .header = {"contrast", "first", "second", "family", "equivalent within"},
                      .n_left = 5};
  for (const record::ContrastInfo& each : study.contrasts) {
    const auto margin = each.margins.find(study.primary_endpoint);
    contrasts.rows.push_back(
        {each.name, each.first, each.second, each.family,
         margin == each.margins.end() ? "-" : margin_text(margin->second, margin->first)});
  }
  return section("design", "Design", table_html(facts) + table_html(arms) + table_html(contrasts));
}

std::string detection_section(const Analysis& analysis) {
  if (!analysis.detection) return "";
  const stats::DetectionPlan& plan = *analysis.detection;
  TextTable table{.title = "Smallest difference of shares found with this power",
                  .header = {"pairs that differ", "by approximation", "exact test"}};
  const auto text_of = [](const std::optional<double>& value) {
    return value ? score_text(*value) : std::string("none");
  };
  for (const auto& row : plan.binary) {
    table.rows.push_back(
        {fmt::format("{:.0f}%", 100 * row.discordance), text_of(row.normal), text_of(row.exact)});
  }
  std::string body = paragraph(fmt::format(
      "{} conversations, {} confirmatory contrast(s) at alpha {:g}: each at {:.4f}, power {:.0f}%.",
      plan.n_pairs, plan.n_contrasts, plan.alpha, plan.alpha_each, 100 * plan.power));
  body += table_html(table);
  if (plan.continuous_sd) {
    body += paragraph(fmt::format(
        "Continuous scores: a mean difference of {:.2f} standard deviations of the differences.",
        *plan.continuous_sd));
  }
  body += paragraph("A smaller effect may exist and go unseen: not significant is not equivalent.",
                    "note");
  return section("detection", "What this study can detect", body);
}

std::string_view state_text(Assessability::State state) {
  switch (state) {
    case Assessability::State::kAssessable:
      return "assessable";
    case Assessability::State::kNotAssessable:
      return "not assessable";
    case Assessability::State::kUnknown:
      return "unknown";
  }
  return "";
}

std::vector<std::string> assess_cells(const std::string& name, const std::string& n_items,
                                      const Assessability& each) {
  return {name,
          std::string(state_text(each.state)),
          each.reason,
          each.diff ? estimate_text(*each.diff) : "-",
          std::to_string(each.n_conversations),
          n_items};
}

std::string class_section(const Analysis& analysis) {
  TextTable table{.title = "Baseline minus no instruction: " + analysis.primary.endpoint,
                  .header = {"class", "verdict", "why", "difference", "n", "items"},
                  .n_left = 3};
  table.rows.push_back(assess_cells("all", "-", analysis.overall));
  std::string results;
  for (const ClassResult& each : analysis.classes) {
    table.rows.push_back(assess_cells(each.name, std::to_string(each.n_items), each.assessability));
    if (each.assessability.state == Assessability::State::kNotAssessable) continue;
    TextTable contrasts{
        .title = each.name,
        .header = {"contrast (exploratory)", "difference", "p", "p corrected", "n"}};
    for (const stats::ArmRow& row : each.rows) {
      if (row.contrast.empty()) continue;
      const auto p = [&](const std::optional<double>& value) {
        return row.is_identical ? "identical" : (value ? p_text(*value) : "-");
      };
      contrasts.rows.push_back({row.contrast, row.diff ? estimate_text(*row.diff) : "-", p(row.p),
                                p(row.p_corrected), std::to_string(row.n_conversations)});
    }
    if (!contrasts.rows.empty()) results += table_html(contrasts);
  }
  std::string about = paragraph(
      "A class that scores the same without the instruction cannot show that eviction made the "
      "model forget it. Nothing is said about eviction there.");
  if (!has_classes(analysis.primary.endpoint)) {
    about += paragraph(
        fmt::format("'{}' is a value of a whole reply or conversation, not of one instruction: "
                    "there is none by class.",
                    analysis.primary.endpoint),
        "note");
  }
  return section("classes", "Instruction classes", about + table_html(table) + results);
}

std::string other_section(const Analysis& analysis) {
  TextTable table{.title = "All exploratory",
                  .header = {"endpoint", "contrast", "difference", "p", "p corrected", "n"},
                  .n_left = 2};
  for (const EndpointResult& other : analysis.others) {
    for (const stats::ArmRow& row : other.rows) {
      if (row.contrast.empty()) continue;
      const auto p = [&](const std::optional<double>& value) {
        return row.is_identical ? "identical" : (value ? p_text(*value) : "-");
      };
      table.rows.push_back({other.endpoint, row.contrast, row.diff ? estimate_text(*row.diff) : "-",
                            p(row.p), p(row.p_corrected), std::to_string(row.n_conversations)});
    }
  }
  if (table.rows.empty()) return "";
  return section("endpoints", "Other endpoints", table_html(table));
}

std::string left_out_of_doses(const Analysis& analysis) {
  if (analysis.doses.empty() || analysis.doses.front().left_out.empty()) return "";
  return paragraph(
      fmt::format("Left out, as query-visible: {}. What such an arm evicts within a turn is not in "
                  "the share that was left after the turn before.",
                  fmt::join(analysis.doses.front().left_out, ", ")),
      "note");
}

std::string dose_section(const Analysis& analysis) {
  TextTable slopes{
      .title = "Change from nothing kept to everything kept, within conversations (random arms)",
      .header = {"outcome", "slope", "interval", "p", "units", "conversations"}};
  for (const DoseCurve& curve : analysis.doses) {
    const std::string n_points = std::to_string(curve.points.size());
    if (!curve.response || !curve.response->slope.slope) {
      slopes.rows.push_back({curve.outcome + ": " +
                                 (curve.response ? curve.response->slope.note : curve.empty_reason),
                             "-", "-", "-", n_points, "-"});
      continue;
    }
    const stats::WithinSlope& slope = curve.response->slope;
    slopes.rows.push_back({curve.outcome, score_text(*slope.slope),
                           slope.interval ? fmt::format("[{}, {}]", score_text(slope.interval->low),
                                                        score_text(slope.interval->high))
                                          : "-",
                           slope.p ? p_text(*slope.p) : "-", n_points,
                           std::to_string(slope.n_clusters)});
  }
  std::string body = table_html(slopes) + left_out_of_doses(analysis);
  if (!analysis.losses.empty()) {
    TextTable losses{.title = "KL(baseline || arm) per token by turns since the first loss",
                     .header = {"arm", "turns since loss", "KL", "n"}};
    for (const LossPoint& point : analysis.losses) {
      losses.rows.push_back({point.arm, std::to_string(point.turns_since_loss),
                             estimate_text(point.kl), std::to_string(point.n_conversations)});
    }
    body += table_html(losses);
  }
  return section("dose", "Survival and response", body);
}

// Dark letters stay legible on every shade; the numbers are there for those who see no shades.
std::string layer_cell(double share) {
  const auto shade = [&](int full) { return 255 - std::lround((255 - full) * share); };
  return fmt::format("<td style=\"background:rgb({},{},{})\">{:.0f}</td>", shade(86), shade(160),
                     shade(211), 100 * share);
}

std::string survival_section(const StudyData& data) {
  const std::vector<LayerShares> arms = layer_shares(data);
  if (arms.empty()) return "";
  std::string table =
      "<div class=\"scroll\"><table class=\"heat\"><caption>Instruction cells left, % by "
      "layer</caption>\n<thead><tr><th class=\"left\">arm</th>";
  for (size_t layer = 0; layer < arms.front().shares.size(); ++layer) {
    table += fmt::format("<th>{}</th>", layer);
  }
  table += "</tr></thead><tbody>\n";
  for (const LayerShares& arm : arms) {
    table += fmt::format("<tr><td class=\"left\">{}</td>", html_text(arm.arm));
    for (const double share : arm.shares) table += layer_cell(share);
    table += "</tr>\n";
  }
  table += "</tbody></table></div>\n";
  return section("survival", "What is left of the instructions",
                 paragraph("Of the cache that the last reply was made from: mean over KV heads, "
                           "instructions and conversations. survival.csv has every layer and head "
                           "of every unit beside its verdict and its recall.") +
                     table);
}

std::string units_section(const StudyData& data) {
  const ArmOrder order(data.study);
  std::vector<const record::UnitRecord*> units;
  for (const record::UnitRecord& unit : data.units) units.push_back(&unit);
  std::stable_sort(units.begin(), units.end(), [&](const auto* a, const auto* b) {
    return std::make_tuple(order.place(a->arm), a->conversation, a->seed) <
           std::make_tuple(order.place(b->arm), b->conversation, b->seed);
  });
  TextTable table{.title = "", .header = {"unit", "arm", "conversation", "seed"}, .n_left = 3};
  for (const auto* unit : units) {
    table.rows.push_back(
        {unit->unit_id, unit->arm, unit->conversation, std::to_string(unit->seed)});
  }
  return section("units", "Units",
                 paragraph("Every number above is a mean over units of scores.csv.") +
                     "<details><summary>All units</summary>" + table_html(table) + "</details>\n");
}

// From <svg on: a page has one prologue only.
std::string figure_section(const FigureText& figure) {
  std::string body;
  const size_t begin = figure.svg.find("<svg");
  if (begin == std::string::npos) {
    body = paragraph(figure.problem.empty() ? "no figure" : figure.problem, "warning");
  } else {
    body = "<div class=\"figure\">" + figure.svg.substr(begin) + "</div>\n";
  }
  body += paragraph(
      "a: difference to the baseline with its interval; right of the line is worse, (q) marks a "
      "query-visible arm, the dashed "
      "line "
      "is the arm without instructions. b: cells that the last reply was made from, the same "
      "symbols; arms of one policy are joined. c: "
      "random arms, one grey ring a unit, the curve within conversations with its interval; other "
      "arms are placed beside it, not compared.",
      "note");
  return section("figure", "Figure 1", body);
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : readable_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string report_html(const StudyData& data, const Analysis& analysis, const FigureText& figure) {
  const record::StudyInfo& study = analysis.study;
  const PrintedTables tables = printed_tables(analysis);
  std::string notes;
  for (const std::string& warning : analysis.warnings) {
    notes +=
        fmt::format("<p class=\"warning\"><strong>Warning:</strong> {}</p>\n", html_text(warning));
  }
  std::string table = table_html(tables.arms);
  if (!tables.contrasts.rows.empty()) table += table_html(tables.contrasts);
  for (const std::string& note : tables.notes) {
    if (!note.starts_with("WARNING")) table += paragraph(note, "note");
  }
  const std::string title = html_text(study.title.empty() ? study.name : study.title);
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n"
      "<body>\n<h1>{}</h1>\n",
      title, embedded::report_css(), title);
  out += paragraph(study.question) + notes;
  out += design_section(analysis) + detection_section(analysis);
  out += section("table", "Table 1", table) + figure_section(figure);
  out += class_section(analysis) + survival_section(data) + dose_section(analysis);
  out += other_section(analysis);
  out += embedded::report_body();
  out += units_section(data);
  out += fmt::format("<script type=\"application/json\" id=\"page-data\">{}</script>\n",
                     page_data(data));
  out += fmt::format("<script>\n{}</script>\n</body>\n</html>\n", embedded::report_js());
  return out;
}

}  // namespace ebb::report
