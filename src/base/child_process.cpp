#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <string_view>

#include "base/error.h"

namespace ebb {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReturned = 0;  // exit codes of the child: the result, or 64 + the kind of an error
constexpr int kFirstKind = 64;
constexpr size_t kTextMax = size_t{1} << 16;  // of either stream; the rest is read and forgotten

struct Pipe {
  int read_end = -1;
  int write_end = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) {
      throw Error::make(ErrorKind::kInternal, "no pipe: {}", std::strerror(errno));
    }
    read_end = ends[0];
    write_end = ends[1];
    for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  ~Pipe() {
    close_write();
    ::close(read_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_write() {
    if (write_end >= 0) ::close(write_end);
    write_end = -1;
  }
};

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Never returns: destructors and exit handlers of the parent's objects must not run twice.
[[noreturn]] void live_as_child(const std::function<std::string()>& body, const Pipe& result,
                                const Pipe& words) {
  const struct rlimit no_core {};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(SIGPIPE, SIG_IGN);
  ::dup2(words.write_end, STDERR_FILENO);
  int code = kReturned;
  try {
    write_all(result.write_end, body());
  } catch (const Error& error) {
    write_all(result.write_end, error.what());
    code = kFirstKind + static_cast<int>(error.kind());
  } catch (const std::bad_alloc&) {
    write_all(result.write_end, "out of memory");
    code = kFirstKind + static_cast<int>(ErrorKind::kOutOfMemory);
  } catch (const std::exception& error) {
    write_all(result.write_end, error.what());
    code = kFirstKind + static_cast<int>(ErrorKind::kInternal);
  }
  ::_exit(code);
}

// Takes what is there; false once the other end is closed.
bool take(int fd, std::string& text) {
  std::array<char, 4096> part{};
  const ssize_t n = ::read(fd, part.data(), part.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (text.size() < kTextMax) text.append(part.data(), static_cast<size_t>(n));
  return n > 0;
}

// Reads both streams until the child has closed them; false when the time is up.
bool listen(const Pipe& result, const Pipe& words, std::string& answer, std::string& said,
            Clock::time_point end) {
  std::array<pollfd, 2> streams{pollfd{result.read_end, POLLIN, 0},
                                pollfd{words.read_end, POLLIN, 0}};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    ::poll(streams.data(), streams.size(), static_cast<int>(left.count()));
    if (streams[0].revents != 0 && !take(result.read_end, answer)) streams[0].fd = -1;
    if (streams[1].revents != 0 && !take(words.read_end, said)) streams[1].fd = -1;
    for (pollfd& stream : streams) stream.revents = 0;
  }
  return true;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const size_t start = text.rfind('\n');
  return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

}  // namespace

std::string run_in_child(const std::string& about, const std::function<std::string()>& body,
                         const ChildOptions& options) {
  Pipe result;
  Pipe words;
  const pid_t child = ::fork();
  if (child < 0) {
    throw Error::make(ErrorKind::kOutOfMemory, "{}: no second process to check it in: {}", about,
                      std::strerror(errno));
  }
  if (child == 0) live_as_child(body, result, words);
  result.close_write();
  words.close_write();
  std::string answer;
  std::string said;
  const bool has_ended = listen(result, words, answer, said, Clock::now() + options.time_max);
  if (!has_ended) ::kill(child, SIGKILL);
  const int status = wait_for(child);
  if (!has_ended) {
    throw Error::make(ErrorKind::kBadModel, "{}: checking it was not done after {} s", about,
                      options.time_max.count());
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kReturned) return answer;
  if (WIFEXITED(status) && WEXITSTATUS(status) >= kFirstKind) {
    throw Error(static_cast<ErrorKind>(WEXITSTATUS(status) - kFirstKind), answer);
  }
  const std::string end = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                              : fmt::format("exit code {}", WEXITSTATUS(status));
  const std::string line = last_line(said);
  throw Error::make(ErrorKind::kBadModel, "{}: checking it ended with {}{}{}", about, end,
                    line.empty() ? "" : ": ", line);
}

}  // namespace ebb
