// Calls gnuplot. Apart from figure1.cpp, which only makes text.
#include <fmt/format.h>

#include <array>

#include "base/platform.h"
#include "report/figure1.h"

namespace ebb::report {

namespace fs = std::filesystem;

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
