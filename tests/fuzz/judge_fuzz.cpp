// What a judge says, as a text and as the body of a server's answer. Whatever it is, a verdict is
// either absent or a number from 0 to 1.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "eval/judge_answer.h"
#include "eval/judge_answers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto scale : {ebb::eval::JudgeScale::kBinary, ebb::eval::JudgeScale::kTen}) {
    const auto verdict = ebb::eval::read_verdict(text, scale);
    if (verdict.score && !(*verdict.score >= 0 && *verdict.score <= 1)) __builtin_trap();
    if (!verdict.score && verdict.problem.empty()) __builtin_trap();
  }
  const auto pair = ebb::eval::read_pair(text);
  if (!pair.better && pair.problem.empty()) __builtin_trap();
  try {
    ebb::eval::judge_answers_from_json_lines(text);
  } catch (const ebb::Error& error) {
    if (error.kind() == ebb::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
