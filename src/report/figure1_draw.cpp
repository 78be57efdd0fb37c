// Calls gnuplot. Apart from figure1.cpp, which only makes text.
#include <fmt/format.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string_view>

#include "base/platform.h"
#include "report/figure1.h"

namespace ebb::report {

namespace fs = std::filesystem;

namespace {

// The drawing library writes when it drew; the same study must give the same bytes. The text keeps
// its length, as a PDF holds offsets.
void remove_date(const fs::path& pdf) {
  constexpr std::string_view kKey = "/CreationDate (D:";
  constexpr std::string_view kNoDate = "20000101000000";
  std::fstream file(pdf, std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const size_t key = bytes.find(kKey);
  const size_t begin = key + kKey.size();
  if (key == std::string::npos || begin + kNoDate.size() > bytes.size()) return;
  file.clear();
  file.seekp(static_cast<std::streamoff>(begin));
  file.write(kNoDate.data(), kNoDate.size());
}

}  // namespace

std::string draw_figure1(const fs::path& folder) {
  std::string place = "cd '";
  for (const char c : folder.string()) place += c == '\'' ? "''" : std::string(1, c);
  const std::array<std::string, 4> argv{"gnuplot", "-e", place + "'; suffix = '.part'",
                                        "figure1.gp"};
  const platform::ProgramResult result = platform::run_program(argv, std::chrono::seconds(60));
  if (!result.is_found) return "gnuplot is not installed: figure1.svg, .png and .pdf are missing";
  std::string problem;
  if (result.is_timed_out) problem = "gnuplot took longer than a minute and was stopped";
  for (const char* kind : {"svg", "png", "pdf"}) {
    const fs::path part = folder / fmt::format("figure1.{}.part", kind);
    std::error_code failure;
    const bool is_made = result.exit_code == 0 && fs::file_size(part, failure) > 0 && !failure;
    if (problem.empty() && is_made) {
      if (std::string_view(kind) == "pdf") remove_date(part);
      fs::rename(part, folder / fmt::format("figure1.{}", kind), failure);
      if (failure) problem = fmt::format("figure1.{}: {}", kind, failure.message());
      continue;
    }
    if (problem.empty()) {
      problem = fmt::format("gnuplot made no figure1.{} (exit code {}): {}", kind, result.exit_code,
                            result.output);
    }
    fs::remove(part, failure);
  }
  return problem;
}

}  // namespace ebb::report
