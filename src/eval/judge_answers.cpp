#include "eval/judge_answers.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_checks.h"

namespace ebb::eval {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string to_json_lines(const JudgeAnswers& answers) {
  const auto dumped = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  std::string out = dumped({{"judge", answers.judge_name}, {"n", answers.verdicts.size()}});
  for (const auto& [key, verdict] : answers.verdicts) {
    Json line{{"unit_id", key.unit_id},
              {"turn_id", key.turn_id},
              {"instruction_id", key.instruction_id},
              {"state", verdict.score ? "done" : "pending"},
              {"score", nullptr},
              {"detail", verdict.detail}};
    if (verdict.score) line["score"] = *verdict.score;
    out += dumped(line);
  }
  return out;
}

namespace {

template <typename Int>
Int whole_number(const Json& line, const char* name, size_t n_lines) {
  if (const auto found = integer_of<Int>(line.at(name))) return *found;
  throw Error::make(ErrorKind::kBadData,
                    "judge scores, line {}: found {} {}, expected a whole number", n_lines, name,
                    line.at(name).dump());
}

}  // namespace

JudgeAnswers judge_answers_from_json_lines(const std::string& text) {
  JudgeAnswers answers;
  size_t n_lines = 0;
  size_t n_expected = 0;
  size_t begin = 0;
  try {
    for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      ++n_lines;
      const Json line = Json::parse(text.substr(begin, end - begin));
      if (n_lines == 1) {
        answers.judge_name = line.at("judge").get<std::string>();
        n_expected = whole_number<size_t>(line, "n", n_lines);
        continue;
      }
      JudgeVerdict verdict{std::nullopt, line.at("detail").get<std::string>()};
      if (!line.at("score").is_null()) verdict.score = line.at("score").get<double>();
      if (verdict.score && !(*verdict.score >= 0 && *verdict.score <= 1)) {
        throw Error::make(ErrorKind::kBadData,
                          "judge scores, line {}: found score {}, expected 0..1", n_lines,
                          *verdict.score);
      }
      const int turn_id = whole_number<int>(line, "turn_id", n_lines);
      answers.verdicts[{line.at("unit_id").get<std::string>(), turn_id,
                        line.at("instruction_id").get<std::string>()}] = verdict;
    }
  } catch (const Json::exception& error) {
    throw Error::make(ErrorKind::kBadData, "judge scores, line {}: {}", n_lines, error.what());
  }
  if (n_lines == 0 || begin != text.size() || answers.verdicts.size() != n_expected) {
    throw Error::make(ErrorKind::kBadData, "judge scores: found {} verdicts, expected {}",
                      answers.verdicts.size(), n_expected);
  }
  return answers;
}

}  // namespace ebb::eval
