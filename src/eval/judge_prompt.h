// What a judge is asked. It never says which arm a reply comes from, and hands the three texts over
// as JSON strings, so that nothing in a reply can end the quotation and speak to the judge.
#pragma once

#include <string>

#include "eval/judge.h"
#include "record/study_records.h"

namespace ebb::eval {

enum class JudgeScale {
  kBinary,  // {"obeyed": true, "evidence": "..."}
  kTen,     // {"score": 0..10, "evidence": "..."}
};

// What a judge sees of an item.
struct JudgeQuestion {
  std::string instruction;
  std::string request;
  std::string reply;
};

Prompt rubric_prompt(const JudgeQuestion& question, JudgeScale scale);

// The second and last try after an answer that was not what the schema asks for.
Prompt repair_prompt(const Prompt& first, const std::string& answer, const std::string& problem);

// Two replies to the same request, side by side, under all instructions in force.
Prompt pair_prompt(const JudgeQuestion& question, const std::string& second_reply);

// The user's words in a turn without the instruction.
std::string request_of(const record::TurnText& turn);

// Without what ends with </think> and the white space around, as rules see a reply; reasoning that
// never ends leaves nothing.
std::string without_reasoning(const std::string& text);

}  // namespace ebb::eval
