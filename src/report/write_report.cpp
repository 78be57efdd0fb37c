#include "report/write_report.h"

#include <fstream>
#include <iterator>

#include "base/error.h"
#include "record/npy.h"
#include "report/exports.h"
#include "report/figure1.h"
#include "report/report_html.h"
#include "report/survival.h"
#include "report/table1.h"

namespace ebb::report {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

WrittenReport write_report(const StudyData& data, const fs::path& folder,
                           const AnalyseOptions& options) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) {
    throw Error::make(ErrorKind::kStorage, "{}: {}", folder.string(), failure.message());
  }
  WrittenReport out{.analysis = analyse(data, options), .figure_problem = {}};
  const Analysis& analysis = out.analysis;
  record::write_file(folder / "scores.csv", scores_csv(data));
  record::write_file(folder / "items.csv", items_csv(data));
  record::write_file(folder / "turns.csv", turns_csv(data));
  record::write_file(folder / "stats.csv", stats_csv(analysis));
  record::write_file(folder / "dose.csv", dose_csv(analysis));
  record::write_file(folder / "survival.csv", survival_csv(data));
  record::write_file(folder / "table1.csv", table1_csv(analysis));
  record::write_file(folder / "table1.md", table1_md(analysis));
  record::write_file(folder / "table1.tex", table1_tex(analysis));
  record::write_file(folder / "figure1.csv", figure1_csv(analysis));
  record::write_file(folder / "figure1.gp", figure1_gp(analysis));
  // A figure of an earlier report must not stand beside new numbers.
  for (const char* name : {"figure1.svg", "figure1.png", "figure1.pdf"}) {
    fs::remove(folder / name, failure);
  }
  out.figure_problem = draw_figure1(folder);
  const std::string svg = out.figure_problem.empty() ? text_of(folder / "figure1.svg") : "";
  record::write_file(folder / "report.html",
                     report_html(data, analysis, {svg, out.figure_problem}));
  return out;
}

}  // namespace ebb::report
