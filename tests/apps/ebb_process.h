// Starts the ebb program, under limits where a test wants them, and tells how it ended.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace ebb::app::testing {

struct EbbLimits {
  int resource = RLIMIT_AS;
  std::optional<uint64_t> n_bytes = {};
  std::vector<std::pair<std::string, std::string>> environment = {};
};

struct EbbEnd {
  int exit_code = -1;  // -1: a signal ended it
  int signal = 0;
  std::string said;  // standard output and error
};

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Starts it and goes on; what it says goes to `log`.
inline pid_t start_ebb(const std::vector<std::string>& arguments, const std::filesystem::path& log,
                       const EbbLimits& limits = {}) {
  const std::string program = std::string(EBB_BINARY_DIR) + "/bin/ebb";
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  for (const auto& [name, value] : limits.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (limits.n_bytes) {
    const struct rlimit limit { *limits.n_bytes, *limits.n_bytes };
    ::setrlimit(static_cast<__rlimit_resource>(limits.resource), &limit);
  }
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

inline EbbEnd wait_for_ebb(pid_t child, const std::filesystem::path& log) {
  int status = 0;
  ::waitpid(child, &status, 0);
  EbbEnd end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  end.said = text_of(log);
  return end;
}

inline EbbEnd run_ebb(const std::vector<std::string>& arguments, const std::filesystem::path& log,
                      const EbbLimits& limits = {}) {
  return wait_for_ebb(start_ebb(arguments, log, limits), log);
}

}  // namespace ebb::app::testing
