#include "bench/alone.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/platform.h"
#include "bench/growth.h"
#include "bench/protocol.h"
#include "bench/shape.h"

namespace ebb::bench {

using nlohmann::json;

json run_task(const std::string& task, const std::filesystem::path& model_path,
              const Settings& settings) {
  const size_t colon = task.find(':');
  const std::string name = task.substr(0, colon);
  const std::string argument = colon == std::string::npos ? "" : task.substr(colon + 1);
  if (name == "growth") return grow_alone(std::stoi(argument), model_path, settings);
  if (name == "shape") return shape_alone(argument, model_path, settings);
  if (name == "protocol") return protocol_alone(argument, model_path, settings);
  throw Error::make(ErrorKind::kUsage, "--alone: found '{}', expected growth, protocol or shape",
                    task);
}

json run_alone(const std::string& task, const std::filesystem::path& model_path,
               const Settings& settings) {
  const std::vector<std::string> argv = {settings.program,
                                         "--alone",
                                         task,
                                         "--model",
                                         model_path,
                                         "--threads",
                                         fmt::format("{}", settings.n_threads)};
  const platform::ProgramResult result = platform::run_program(argv, std::chrono::minutes(30));
  const size_t begin = result.output.rfind("\n{");
  const std::string line =
      begin == std::string::npos ? result.output : result.output.substr(begin + 1);
  if (result.exit_code == 0 && line.starts_with("{")) return json::parse(line);
  throw Error::make(
      ErrorKind::kBackend, "{} {}: {}{}", settings.program, task,
      result.is_timed_out ? "took too long; " : "",
      result.output.substr(result.output.size() - std::min<size_t>(result.output.size(), 300)));
}

}  // namespace ebb::bench
