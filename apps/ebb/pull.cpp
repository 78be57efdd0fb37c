// ebb pull: fetch a model file from a Hugging Face style hub.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "command.h"
#include "model/hub.h"

namespace ebb::app {
namespace {

struct PullFlags {
  std::string url;
  std::string folder;
  bool offline = false;
};

std::atomic<bool> g_interrupted{false};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::filesystem::path home() { return environment("HOME"); }

// HF_TOKEN, or the file where the hub's own tools leave it.
std::string find_token() {
  if (std::string token = environment("HF_TOKEN"); !token.empty()) return token;
  const std::string hf_home = environment("HF_HOME");
  std::ifstream in(
      (hf_home.empty() ? home() / ".cache/huggingface" : std::filesystem::path(hf_home)) / "token");
  std::string token;
  std::getline(in, token);
  return token;
}

std::filesystem::path default_folder() {
  if (const std::string models = environment("EBB_MODELS"); !models.empty()) return models;
  if (const std::string cache = environment("EBB_CACHE"); !cache.empty())
    return std::filesystem::path(cache) / "models";
  return home() / ".cache/ebb/models";
}

void run_pull(const PullFlags& flags) {
  model::HubRequest request;
  request.url = flags.url;
  request.folder = flags.folder.empty() ? default_folder() : std::filesystem::path(flags.folder);
  if (const std::string endpoint = environment("HF_ENDPOINT"); !endpoint.empty())
    request.endpoint = endpoint;
  request.token = find_token();
  const std::string offline = environment("HF_HUB_OFFLINE");
  const bool is_offline = flags.offline || (!offline.empty() && offline != "0");
  request.mode = is_offline ? model::HubMode::kOffline : model::HubMode::kOnline;
  auto last_shown = std::chrono::steady_clock::now() - std::chrono::hours(1);
  const bool is_terminal = isatty(fileno(stderr)) != 0;
  request.on_progress = [&](const model::HubProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_shown <
        (is_terminal ? std::chrono::milliseconds(300) : std::chrono::milliseconds(10000)))
      return;
    last_shown = now;
    fmt::print(stderr, "{}{} of {}{}", is_terminal ? "\r" : "", bytes_text(progress.n_bytes_done),
               bytes_text(progress.n_bytes_total), is_terminal ? "   " : "\n");
  };
  std::signal(SIGINT, [](int) { g_interrupted = true; });
  request.is_cancelled = [] { return g_interrupted.load(); };
  const model::HubFile file = model::pull(request);
  if (is_terminal) fmt::print(stderr, "\n");
  fmt::print(
      "{}\n  {}, sha256 {}{}{}\n", file.path.string(), bytes_text(file.size_bytes), file.sha256,
      file.check == model::HubCheck::kSha256 ? " (as the hub says)" : " (the hub states none)",
      file.was_cached ? ", was here already" : "");
}

}  // namespace

void add_pull(CLI::App& app) {
  auto flags = std::make_shared<PullFlags>();
  CLI::App* command = app.add_subcommand("pull", "Fetch a model file from the Hugging Face hub");
  command->add_option("URL", flags->url, "hf://owner/repo/file.gguf")->required();
  command->add_option("--to", flags->folder, "folder for models (default ~/.cache/ebb/models)");
  command->add_flag("--offline", flags->offline, "only what is there already");
  command->footer(
      "HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are honoured. An interrupted pull "
      "resumes.");
  command->callback([flags] { run_pull(*flags); });
}

}  // namespace ebb::app
