// A treatment as text: the first line is a policy or a named combination, every further line
// key=value.  What is accepted must come back from its own settings.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "base/error.h"
#include "policy/treatment_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  std::string name;
  std::getline(lines, name);
  ebb::policy::ParamMap params;
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = line.substr(0, equals);
    if (key == "budget_file") continue;  // reads a file of that name
    params[key] = line.substr(equals + 1);
  }
  try {
    const auto treatment = ebb::policy::make_treatment(name, params);
    const auto settings = ebb::policy::settings_of(treatment);
    if (ebb::policy::settings_of(ebb::policy::make_treatment(name, settings)) != settings) {
      __builtin_trap();
    }
  } catch (const ebb::Error& error) {
    if (error.kind() == ebb::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
