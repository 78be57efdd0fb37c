// Work that may crash, run in a forked copy of this process: what a damaged file does there ends
// the copy, not the program. Starts no other program.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace ebb {

struct ChildOptions {
  std::chrono::seconds time_max{600};
};

// Runs `body` in a child and returns the text that it returned. An ebb::Error that it throws is
// thrown here again, with its kind; any other end (a signal, a time limit, an exit) is a kBadModel
// error that begins with `about` and tells the last line of what the child wrote to standard error.
// Requires: no other threads, for only the calling one goes on in the child.
std::string run_in_child(const std::string& about, const std::function<std::string()>& body,
                         const ChildOptions& options = {});

}  // namespace ebb
