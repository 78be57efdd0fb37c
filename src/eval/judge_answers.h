// What a judge has answered about the items of a study, as plain values: the bridge between
// judge_run, which asks, and scoring, which never asks anything.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

namespace ebb::eval {

// One instruction in one reply of one unit.
struct JudgeKey {
  std::string unit_id;
  int turn_id = 0;
  std::string instruction_id;

  auto operator<=>(const JudgeKey&) const = default;
};

struct JudgeVerdict {
  std::optional<double> score;  // 0..1; absent: pending, because no valid answer came
  std::string detail;           // the judge's evidence, or why the verdict is pending
};

struct JudgeAnswers {
  std::string judge_name;
  std::map<JudgeKey, JudgeVerdict> verdicts;  // items that were not asked for are not in it
};

// One verdict a line behind a line with the judge and their number.
std::string to_json_lines(const JudgeAnswers& answers);
// Throws: kBadData with the line, and for a text that is not whole.
JudgeAnswers judge_answers_from_json_lines(const std::string& text);

}  // namespace ebb::eval
