#include "judge_choice.h"

#include <cstdlib>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "eval/judge_openai.h"
#include "local_generator.h"

namespace ebb::app {
namespace {

constexpr const char* kExpected = "expected openai:URL,model=NAME or gguf:FILE";

std::string key_from(const std::string& variable) {
  if (variable.empty()) return "";
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    throw Error::make(ErrorKind::kUsage,
                      "--judge-key-env: found no environment variable '{}' with a key", variable);
  }
  return value;
}

// "URL,model=NAME,expect=NAME" after "openai:". The text is not repeated in errors: a URL may hold
// a password.
eval::OpenAiOptions parse_server(const std::string& text) {
  eval::OpenAiOptions options;
  size_t begin = text.find(',');
  options.base_url = text.substr(0, begin);
  while (begin != std::string::npos) {
    const size_t end = text.find(',', begin + 1);
    const std::string part =
        text.substr(begin + 1, end == std::string::npos ? end : end - begin - 1);
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (name == "model" && !value.empty()) {
      options.model = value;
    } else if (name == "expect" && !value.empty()) {
      options.expected_model = value;
    } else {
      const std::vector<std::string> known = {"model", "expect"};
      throw Error::make(ErrorKind::kUsage,
                        "--judge: found setting '{}', expected model=NAME or expect=NAME{}", name,
                        did_you_mean(name, known));
    }
    begin = end;
  }
  return options;
}

}  // namespace

void JudgeFlags::add_to(CLI::App& command) {
  command.add_option("--judge", judge,
                     "openai:URL,model=NAME[,expect=NAME] (a server) or gguf:FILE (local)");
  command.add_option("--judge-key-env", key_env,
                     "environment variable that holds the server's key");
  command.add_option("--scale", scale, "binary or 0-10")->capture_default_str();
  compute.add_to(command);
}

eval::JudgeScale JudgeFlags::parsed_scale() const {
  if (scale == "binary") return eval::JudgeScale::kBinary;
  if (scale == "0-10") return eval::JudgeScale::kTen;
  const std::vector<std::string> known = {"binary", "0-10"};
  throw Error::make(ErrorKind::kUsage, "--scale: found '{}', expected binary or 0-10{}", scale,
                    did_you_mean(scale, known));
}

ChosenJudge choose_judge(const JudgeFlags& flags, std::function<bool()> is_cancelled) {
  ChosenJudge chosen;
  if (flags.judge.rfind("gguf:", 0) == 0) {
    auto local = std::make_unique<LocalGenerator>(flags.judge.substr(5), flags.compute,
                                                  std::move(is_cancelled));
    chosen.identity = {local->model_name(), local->sha256()};
    chosen.generator = std::move(local);
    return chosen;
  }
  if (flags.judge.rfind("openai:", 0) != 0) {
    throw Error::make(ErrorKind::kUsage, "--judge: found another kind of judge, {}", kExpected);
  }
  eval::OpenAiOptions options = parse_server(flags.judge.substr(7));
  options.key = key_from(flags.key_env);
  options.is_cancelled = std::move(is_cancelled);
  chosen.identity = {options.model, ""};
  chosen.generator = std::make_unique<eval::OpenAiJudge>(std::move(options));
  return chosen;
}

}  // namespace ebb::app
