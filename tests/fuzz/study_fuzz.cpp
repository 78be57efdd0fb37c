// A study file. What is accepted must come back from its own text with every default written out.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "experiment/study.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find("budget_file") != std::string::npos) return 0;  // reads a file of that name
  try {
    const auto study = ebb::experiment::parse_study(text, "fuzz.toml");
    const std::string resolved = ebb::experiment::to_toml(study);
    if (ebb::experiment::to_toml(ebb::experiment::parse_study(resolved, "resolved")) != resolved) {
      __builtin_trap();
    }
  } catch (const ebb::Error& error) {
    if (error.kind() == ebb::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
