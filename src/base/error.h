// The one exception type of ebb and the checks that throw it.
// Errors end the unit of work; expected outcomes are values (std::optional, enums) instead.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace ebb {

// What went wrong, as far as a caller can act on it. The command line maps each to an exit code.
enum class ErrorKind {
  kInternal,     // a bug in ebb: exit 1
  kBackend,      // ggml, libllama or another library refused: exit 1
  kUsage,        // a command line, option or study setting makes no sense: exit 2
  kBadModel,     // a model file is damaged, foreign or unsupported: exit 3
  kBadData,      // a conversation or another data file is wrong: exit 3
  kOutOfMemory,  // the work would not fit: exit 4
  kStorage,      // reading or writing files failed: exit 5
  kInterrupted,  // stopped on request, can be resumed: exit 75
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

  template <typename... Args>
  static Error make(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
    return Error(kind, fmt::format(format, std::forward<Args>(args)...));
  }

  ErrorKind kind() const { return kind_; }
  int exit_code() const;

  // The same error with "where: " in front: for a catch that only adds context and rethrows.
  Error with_context(std::string_view where) const {
    return Error(kind_, fmt::format("{}: {}", where, what()));
  }

 private:
  ErrorKind kind_;
};

[[noreturn]] void fail_check(const char* expression, const char* file, int line);

}  // namespace ebb

// Programmer errors only, never user input. Always on; throws kInternal with file and line.
#define EBB_CHECK(expression)                             \
  do {                                                    \
    if (!(expression)) {                                  \
      ::ebb::fail_check(#expression, __FILE__, __LINE__); \
    }                                                     \
  } while (false)

// For hot loops: on in Debug builds and under sanitizers only.
#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__)
#define EBB_DCHECK(expression) EBB_CHECK(expression)
#else
#define EBB_DCHECK(expression) \
  do {                         \
  } while (false)
#endif
