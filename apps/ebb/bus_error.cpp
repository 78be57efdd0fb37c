#include "bus_error.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

namespace ebb::app {
namespace {

// A handler may call almost nothing, so the whole message lies ready here.
std::array<char, 1024> g_message{};
size_t g_message_bytes = 0;

void on_bus_error(int signal, siginfo_t* info, void* /*context*/) {
  if (info->si_code != BUS_ADRERR) {  // no page of a file: an error of ours, told in the usual way
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, g_message.data(), g_message_bytes);
  ::_exit(3);
}

}  // namespace

void name_mapped_file(std::string_view path) {
  constexpr std::string_view kBefore = "ebb: ";
  constexpr std::string_view kAfter =
      ": became shorter or unreadable while it was in use, expected a file that nobody changes\n";
  char* out = g_message.data();
  const size_t n_path = std::min(path.size(), g_message.size() - kBefore.size() - kAfter.size());
  for (const std::string_view part : {kBefore, path.substr(0, n_path), kAfter}) {
    out = std::copy(part.begin(), part.end(), out);
  }
  g_message_bytes = static_cast<size_t>(out - g_message.data());
}

void install_bus_error_handler() {
  name_mapped_file("a mapped file");
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace ebb::app
