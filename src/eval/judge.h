// What a judge is made of: something that writes a text for a prompt. The command line hands in a
// local model or a server; tests hand in a list of answers.
#pragma once

#include <string>
#include <utility>

namespace ebb::eval {

// A prompt for one answer, always at temperature 0.
struct Prompt {
  std::string system;
  std::string user;
  std::string json_schema;  // of the answer wanted; a generator that cannot enforce it ignores it
  int n_tokens_max = 256;
};

// Either a text or a reason why there is none.
struct Answer {
  std::string text;
  std::string failure;  // "" = `text` is what came
  bool has_text() const { return failure.empty(); }
};

inline Answer failed_answer(std::string why) { return {"", std::move(why)}; }

class TextGenerator {
 public:
  virtual ~TextGenerator() = default;

  // Model and everything else that can change an answer; part of the key of cached answers.
  virtual std::string name() const = 0;
  // Trouble of any kind is a failure in the answer, so that a study goes on.
  // Throws: kInterrupted only.
  virtual Answer generate(const Prompt& prompt) = 0;
};

}  // namespace ebb::eval
