// Which judge a command line asks for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "command.h"
#include "eval/judge.h"
#include "eval/judge_run.h"

namespace ebb::app {

struct JudgeFlags {
  std::string judge;    // openai:URL,model=NAME[,expect=NAME] or gguf:FILE; "" = none
  std::string key_env;  // name of an environment variable; "" = no key
  std::string scale = "binary";
  ComputeFlags compute;  // of a local judge

  void add_to(CLI::App& command);
  eval::JudgeScale parsed_scale() const;
};

struct ChosenJudge {
  std::unique_ptr<eval::TextGenerator> generator;
  eval::JudgeIdentity identity;
};

// Loads the file or prepares the client; asks nothing yet.
// Throws: kUsage for a judge that does not parse or a variable that is not set, and what the two
// kinds throw.
ChosenJudge choose_judge(const JudgeFlags& flags, std::function<bool()> is_cancelled);

}  // namespace ebb::app
