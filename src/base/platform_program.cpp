// Starting other programs. Apart from platform.cpp, which is about memory and files.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/platform.h"

extern char** environ;

namespace ebb::platform {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kOutputBytesMax = 65536;

Error process_error(const std::string& program, int code) {
  return Error::make(ErrorKind::kBackend, "{}: cannot be started: {}", program,
                     std::generic_category().message(code));
}

// Both ends of a pipe that no other child inherits.
struct Pipe {
  int ends[2] = {-1, -1};
  explicit Pipe(const std::string& program) {
    if (::pipe(ends) != 0) throw process_error(program, errno);
    for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
};

// 0 and a process, or the system's error code.
int spawn(std::span<const std::string> argv, int output, pid_t& process) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, output, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that what it started in turn can be ended with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int code =
      ::posix_spawnp(&process, arguments.front(), &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return code;
}

// Reads until the writers are gone; false when the deadline came first.
bool read_all(int from, Clock::time_point deadline, std::string& out) {
  char buffer[4096];
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd waiting{.fd = from, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left, 1000)));
    if (ready < 0 && errno != EINTR) return true;
    if (ready <= 0) continue;
    const ssize_t n = ::read(from, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    const size_t room = kOutputBytesMax - std::min(kOutputBytesMax, out.size());
    out.append(buffer, std::min(room, static_cast<size_t>(n)));
  }
}

}  // namespace

ProgramResult run_program(std::span<const std::string> argv, std::chrono::milliseconds timeout) {
  EBB_CHECK(!argv.empty());
  const auto deadline = Clock::now() + timeout;
  ProgramResult result;
  Pipe pipe(argv.front());
  pid_t process = -1;
  const int code = spawn(argv, pipe.ends[1], process);
  if (code == ENOENT || code == EACCES || code == ENOTDIR) return result;
  if (code != 0) throw process_error(argv.front(), code);
  result.is_found = true;
  pipe.close_writer();
  result.is_timed_out = !read_all(pipe.ends[0], deadline, result.output);
  int status = 0;
  // A program may close its output and go on, hence the wait under the same deadline.
  pid_t ended = result.is_timed_out ? 0 : ::waitpid(process, &status, WNOHANG);
  while (ended == 0 && Clock::now() < deadline) {
    ::usleep(2000);
    ended = ::waitpid(process, &status, WNOHANG);
  }
  if (ended == 0) {
    result.is_timed_out = true;
    ::kill(-process, SIGKILL);
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.exit_code = 128 + WTERMSIG(status);
  return result;
}

}  // namespace ebb::platform
