// The ebb command line: parses, runs one subcommand, turns errors into messages and exit codes.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>

#include "base/error.h"
#include "base/platform.h"
#include "base/text.h"
#include "bus_error.h"
#include "command.h"

namespace {

// CLI11 says that a command is missing where one is misspelt, and knows no nearest option.
std::string hint_of(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> commands;
  for (const CLI::App* one : app.get_subcommands({})) commands.push_back(one->get_name());
  if (argc < 2 || argv[1][0] == '-') return "";
  const std::string name = argv[1];
  const auto found = std::find(commands.begin(), commands.end(), name);
  if (found == commands.end()) {
    return fmt::format("no command '{}'{}; commands: {}\n", name, ebb::did_you_mean(name, commands),
                       fmt::join(commands, ", "));
  }
  std::vector<std::string> options;
  for (const CLI::Option* one : app.get_subcommand(name)->get_options()) {
    for (const std::string& long_name : one->get_lnames()) options.push_back("--" + long_name);
  }
  std::string out;
  for (int i = 2; i < argc; ++i) {
    const std::string given = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    const bool is_known = std::find(options.begin(), options.end(), given) != options.end();
    if (given.starts_with("--") && !is_known) {
      out += fmt::format("no option '{}'{}\n", given, ebb::did_you_mean(given, options));
    }
  }
  return out;
}

}  // namespace

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
    if (error.get_exit_code() != 0) fmt::print(stderr, "{}", hint_of(app, argc, argv));
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
