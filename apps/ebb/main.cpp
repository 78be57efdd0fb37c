// The ebb command line: parses, runs one subcommand, turns errors into messages and exit codes.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "base/error.h"
#include "base/platform.h"
#include "bus_error.h"
#include "command.h"

int main(int argc, char** argv) {
  // OpenMP threads that wait by spinning for long halve the speed where another program wants a
  // core; this bound costs little on a quiet machine. libgomp reads it before main, hence the new
  // start.
  constexpr const char* kSettings[] = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"};
  ebb::platform::restart_with_setting(kSettings, "10000", argv);
  ebb::app::install_bus_error_handler();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  CLI::App app{"ebb: measures what a language model forgets when its KV cache is evicted"};
  app.name("ebb");
  app.set_version_flag("--version", "ebb " EBB_VERSION);
  app.require_subcommand(1);
  ebb::app::add_run(app);
  ebb::app::add_plan(app);
  ebb::app::add_merge(app);
  ebb::app::add_repro(app);
  ebb::app::add_validate(app);
  ebb::app::add_inspect(app);
  ebb::app::add_logits(app);
  ebb::app::add_cache(app);
  ebb::app::add_policies(app);
  ebb::app::add_pull(app);
  ebb::app::add_report(app);
  ebb::app::add_generate(app);
  ebb::app::add_score(app);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      fmt::print(stderr, "ebb: writing to standard output failed\n");
      return 5;
    }
    return 0;
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const ebb::Error& error) {
    fmt::print(stderr, "ebb: {}\n", error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "ebb: out of memory\n");
    return 4;
  } catch (const std::exception& error) {
    fmt::print(stderr, "ebb: internal error: {}\n", error.what());
    return 1;
  }
}
