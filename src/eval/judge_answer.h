// From a judge's text to a verdict: what the schema does not allow is no verdict.
#pragma once

#include <optional>
#include <string>

#include "eval/judge.h"
#include "eval/judge_answers.h"
#include "eval/judge_prompt.h"

namespace ebb::eval {

// A text read strictly: one JSON object with exactly the two fields of the prompt, each once and of
// its type; a Markdown fence and a reasoning block around it are forgiven.
struct ReadVerdict {
  std::optional<double> score;  // 0..1
  std::string evidence;
  std::string problem;  // what is wrong, where there is no score
};
ReadVerdict read_verdict(const std::string& text, JudgeScale scale);

enum class Better { kA, kB, kTie };
struct ReadPair {
  std::optional<Better> better;
  std::string evidence;
  std::string problem;
};
ReadPair read_pair(const std::string& text);

// Asks, and asks once more where the answer was not valid; then the verdict is pending.
// Throws: kInterrupted.
JudgeVerdict ask_judge(TextGenerator& judge, const JudgeQuestion& question, JudgeScale scale);
// The same for two replies.
ReadPair ask_pair(TextGenerator& judge, const JudgeQuestion& question,
                  const std::string& second_reply);

}  // namespace ebb::eval
