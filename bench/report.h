// Benchmark results as text: a table for a terminal, markdown for the documents, JSON for programs.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "bench/contest.h"
#include "bench/machine.h"

namespace ebb::bench {

struct Report {
  Machine machine;
  int n_rounds = 0;
  bool is_quick = false;
  std::vector<Section> sections;
};

std::string section_text(const Section& section);
std::string report_markdown(const Report& report);
std::string report_json(const Report& report);

// Throws what update_document() would, before minutes of measuring.
void check_document(const std::filesystem::path& path);
// Puts markdown between the lines <!-- bench:begin --> and <!-- bench:end --> of a document.
// Throws: kUsage when the document has no such lines, kStorage.
void update_document(const std::filesystem::path& path, const std::string& markdown);

}  // namespace ebb::bench
