#include "eval/judge_answer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/json_checks.h"

namespace ebb::eval {
namespace {

using Json = nlohmann::json;

// The text without reasoning and a Markdown fence. An object that begins at once is taken as it is,
// because its evidence may quote anything.
std::string bare_answer(const std::string& answer) {
  const size_t begin = answer.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos || answer[begin] == '{') return answer;
  const std::string text = without_reasoning(answer);
  const size_t line_end = text.find('\n');
  if (text.rfind("```", 0) != 0 || line_end == std::string::npos) return text;
  const size_t closing = text.rfind("```");
  if (closing < line_end || closing + 3 != text.size()) return text;
  return text.substr(line_end + 1, closing - line_end - 1);
}

struct ReadObject {
  Json object;
  std::string problem;
};

// Duplicate keys are refused, because a library would silently take one of two verdicts.  Depth is
// bounded, because the text is a stranger's.
ReadObject read_object(const std::string& text, const char* field) {
  constexpr int kDepthMax = 8;
  std::set<std::string> keys;
  bool has_duplicate = false, is_too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kDepthMax) is_too_deep = true;
    if (event == Json::parse_event_t::key && depth == 1) {
      has_duplicate = !keys.insert(value.get<std::string>()).second || has_duplicate;
    }
    return depth <= kDepthMax;
  };
  const std::string wanted = fmt::format("one JSON object with '{}' and 'evidence'", field);
  if (holds_nul(text)) return {{}, "found a NUL byte, expected " + wanted};
  Json object = Json::parse(bare_answer(text), watch, false);
  if (!object.is_object() || is_too_deep) return {{}, "found no JSON object, expected " + wanted};
  if (has_duplicate) return {{}, "found a field twice, expected " + wanted};
  if (!object.contains(field))
    return {{}, fmt::format("found no '{}', expected {}", field, wanted)};
  if (!object.contains("evidence") || !object["evidence"].is_string()) {
    return {{}, "found no text 'evidence', expected " + wanted};
  }
  if (object.size() != 2) return {{}, "found other fields too, expected " + wanted};
  return {std::move(object), ""};
}

// Evidence ends up in records, so a judge that will not stop is cut; whole UTF-8 characters only.
std::string short_evidence(std::string evidence) {
  constexpr size_t kBytesMax = 500;
  if (evidence.size() <= kBytesMax) return evidence;
  size_t end = kBytesMax;
  while (end > 0 && (static_cast<unsigned char>(evidence[end]) & 0xC0) == 0x80) --end;
  evidence.resize(end);
  return evidence + "...";
}

// The first valid reading of at most two answers, else the reason why there is none.
template <typename Reading, typename Read>
Reading ask(TextGenerator& judge, const Prompt& prompt, const Read& read) {
  const auto pending = [](const std::string& why) {
    Reading reading;
    reading.problem = why;
    return reading;
  };
  const Answer first = judge.generate(prompt);
  if (!first.has_text()) return pending(first.failure);
  Reading reading = read(first.text);
  if (reading.problem.empty()) return reading;
  const Answer second = judge.generate(repair_prompt(prompt, first.text, reading.problem));
  if (!second.has_text()) return pending(second.failure);
  reading = read(second.text);
  if (reading.problem.empty()) return reading;
  return pending("no valid answer after one repair: " + reading.problem);
}

}  // namespace

ReadVerdict read_verdict(const std::string& text, JudgeScale scale) {
  const char* field = scale == JudgeScale::kBinary ? "obeyed" : "score";
  const auto [object, problem] = read_object(text, field);
  if (!problem.empty()) return {{}, "", problem};
  const std::string evidence = short_evidence(object["evidence"].get<std::string>());
  const Json& value = object[field];
  if (scale == JudgeScale::kBinary) {
    if (!value.is_boolean())
      return {{}, "", "found 'obeyed' of another type, expected true or false"};
    return {value.get<bool>() ? 1.0 : 0.0, evidence, ""};
  }
  if (!value.is_number_integer() || value < 0 || value > 10) {
    return {{}, "", "found another 'score', expected a whole number from 0 to 10"};
  }
  return {value.get<int>() / 10.0, evidence, ""};
}

ReadPair read_pair(const std::string& text) {
  const auto [object, problem] = read_object(text, "better");
  if (!problem.empty()) return {{}, "", problem};
  const std::string evidence = short_evidence(object["evidence"].get<std::string>());
  const Json& better = object["better"];
  if (better == "A") return {Better::kA, evidence, ""};
  if (better == "B") return {Better::kB, evidence, ""};
  if (better == "tie") return {Better::kTie, evidence, ""};
  return {{}, "", "found another 'better', expected \"A\", \"B\" or \"tie\""};
}

JudgeVerdict ask_judge(TextGenerator& judge, const JudgeQuestion& question, JudgeScale scale) {
  const auto reading =
      ask<ReadVerdict>(judge, rubric_prompt(question, scale),
                       [&](const std::string& text) { return read_verdict(text, scale); });
  return {reading.score, reading.score ? reading.evidence : reading.problem};
}

ReadPair ask_pair(TextGenerator& judge, const JudgeQuestion& question,
                  const std::string& second_reply) {
  return ask<ReadPair>(judge, pair_prompt(question, second_reply), read_pair);
}

}  // namespace ebb::eval
