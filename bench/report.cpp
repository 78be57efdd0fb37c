#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "bench/goals.h"

namespace ebb::bench {
namespace {

constexpr std::string_view kBegin = "<!-- bench:begin -->\n";
constexpr std::string_view kEnd = "<!-- bench:end -->";

// Three digits are all that a timing is worth.
std::string number_text(double value) {
  const double size = std::abs(value);
  if (size >= 99.95 || size == 0.0) return fmt::format("{:.0f}", value);
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

std::string range_text(const Summary& value) {
  return fmt::format("{}-{}", number_text(value.min), number_text(value.max));
}

std::string ratio_text(const Row& row) {
  if (!row.ratio) return "";
  return *row.ratio < 0.0995 ? fmt::format("{:.4f}", *row.ratio)
                             : fmt::format("{:.2f}", *row.ratio);
}

std::string share_text(const Row& row) {
  return row.share ? fmt::format("{:.0f} %", 100.0 * *row.share) : "";
}

// Whether any row has something to say in the last two columns.
bool has_share(const Section& section) {
  return std::any_of(section.rows.begin(), section.rows.end(),
                     [](const Row& row) { return row.share.has_value(); });
}
bool has_goal(const Section& section) {
  return std::any_of(section.rows.begin(), section.rows.end(),
                     [](const Row& row) { return !row.goal.empty(); });
}

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) throw Error::make(ErrorKind::kStorage, "{}: cannot be read", path.string());
  return text;
}

// Between the two marker lines.
struct Place {
  size_t begin = 0;
  size_t end = 0;
};

Place find_place(const std::string& text, const std::filesystem::path& path) {
  const size_t begin = text.find(kBegin);
  const size_t end = text.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    throw Error::make(ErrorKind::kUsage, "{}: found no lines {} and {} in this order",
                      path.string(), kBegin.substr(0, kBegin.size() - 1), kEnd);
  }
  return {begin + kBegin.size(), end};
}

}  // namespace

std::string section_text(const Section& section) {
  size_t work = 4;
  size_t who = 3;
  for (const Row& row : section.rows) {
    work = std::max(work, row.work.size());
    who = std::max(who, row.who.size());
  }
  const bool with_goal = has_goal(section);
  const bool with_share = has_share(section);
  // No spaces at the end of a line.
  const auto line = [&](const std::array<std::string, 7>& cells) {
    std::string text =
        fmt::format("{:<{}}  {:<{}}  {:>10}  {:>15}  {:>{}}", cells[0], work, cells[1], who,
                    cells[2], cells[3], cells[4], 2 + section.ratio_of.size());
    if (with_goal) text += fmt::format("  {:<11}", cells[5]);
    if (with_share) text += fmt::format("  {:>8}", cells[6]);
    return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  };
  std::string out = fmt::format("\n{}\n", section.title);
  out +=
      line({"what", "who", section.unit, "min-max", "x " + section.ratio_of, "goal", "of limit"});
  std::string_view last;
  for (const Row& row : section.rows) {
    out += line({row.work == last ? "" : row.work, row.who, number_text(row.value.median),
                 range_text(row.value), ratio_text(row), row.goal, share_text(row)});
    last = row.work;
  }
  return out;
}

std::string report_markdown(const Report& report) {
  std::string out = fmt::format("Machine: {}. Medians of {} rounds{}. Goals: for machines {}.\n",
                                report.machine.text(), report.n_rounds,
                                report.is_quick ? " (a quick run: small, for a first look)" : "",
                                class_name(class_of(report.machine)));
  for (const Section& section : report.sections) {
    const bool with_goal = has_goal(section);
    const bool with_share = has_share(section);
    out += fmt::format("\n### {}\n\n| what | who | {} | min-max | x {} |{}{}\n", section.title,
                       section.unit, section.ratio_of, with_goal ? " goal |" : "",
                       with_share ? " of limit |" : "");
    out += fmt::format("|---|---|---:|---:|---:|{}{}\n", with_goal ? "---|" : "",
                       with_share ? "---:|" : "");
    for (const Row& row : section.rows) {
      out += fmt::format("| {} | {} | {} | {} | {} |", row.work, row.who,
                         number_text(row.value.median), range_text(row.value), ratio_text(row));
      if (with_goal) out += fmt::format(" {} |", row.goal);
      if (with_share) out += fmt::format(" {} |", share_text(row));
      out += "\n";
    }
  }
  return out;
}

std::string report_json(const Report& report) {
  using nlohmann::json;
  json out{{"machine",
            {{"processor", report.machine.processor},
             {"vector_features", report.machine.vector_features},
             {"threads", report.machine.n_threads},
             {"memory_gib", report.machine.physical_gib},
             {"read_bytes_per_second", report.machine.read_bytes_per_second},
             {"products_per_second", report.machine.products.per_second}}},
           {"rounds", report.n_rounds},
           {"quick", report.is_quick},
           {"sections", json::array()}};
  for (const Section& section : report.sections) {
    json rows = json::array();
    for (const Row& row : section.rows) {
      rows.push_back({{"what", row.work},
                      {"who", row.who},
                      {"median", row.value.median},
                      {"min", row.value.min},
                      {"max", row.value.max},
                      {"ratio", row.ratio ? json(*row.ratio) : json(nullptr)},
                      {"share_of_limit", row.share ? json(*row.share) : json(nullptr)},
                      {"goal", row.goal}});
    }
    out["sections"].push_back({{"title", section.title},
                               {"unit", section.unit},
                               {"ratio_of", section.ratio_of},
                               {"rows", std::move(rows)}});
  }
  return out.dump(2) + "\n";
}

void check_document(const std::filesystem::path& path) { find_place(read_whole(path), path); }

void update_document(const std::filesystem::path& path, const std::string& markdown) {
  std::string text = read_whole(path);
  const Place place = find_place(text, path);
  text.replace(place.begin, place.end - place.begin, "\n" + markdown + "\n");
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) throw Error::make(ErrorKind::kStorage, "{}: cannot be written", path.string());
}

}  // namespace ebb::bench
