// A judge behind an OpenAI-compatible server (/chat/completions). Whatever the server does, the
// answer is a text or a failure: never a guess, bounded in time and memory, and the key is in no
// text that comes back.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "eval/judge.h"
#include "eval/judge_http.h"

namespace ebb::eval {

struct OpenAiOptions {
  std::string base_url;  // such as "https://host/v1"
  std::string model;
  std::string key;             // "" = none; the caller read it
  std::string expected_model;  // "" = any; else what the server must say it ran
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds total_timeout{120'000};  // of one attempt
  std::chrono::seconds stall_timeout{60};            // without a byte
  int n_attempts_max = 4;
  std::chrono::milliseconds first_wait{500};   // before the second attempt; doubles
  std::chrono::milliseconds wait_max{60'000};  // also of what the server asks for
  std::function<bool()> is_cancelled;          // may be empty
};

class OpenAiJudge final : public TextGenerator {
 public:
  // Throws: kUsage for a URL with a user name or a query, a key that no header can hold, and a key
  // that would leave the machine without TLS.
  explicit OpenAiJudge(OpenAiOptions options);

  std::string name() const override;
  Answer generate(const Prompt& prompt) override;

 private:
  // What one attempt led to: an answer, or a reason to try again after a wait.
  struct Attempt {
    Answer answer;
    bool can_retry = false;
    std::chrono::milliseconds wait_at_least{0};
  };

  Attempt attempt(const Prompt& prompt);
  std::string request_body(const Prompt& prompt) const;
  Answer read_completion(const std::string& body) const;
  void wait(std::chrono::milliseconds time) const;
  // The text with every occurrence of the key blotted out.
  std::string without_key(std::string text) const;

  OpenAiOptions options_;
  bool sends_schema_ = true;  // off once the server has refused a request that had one
};

}  // namespace ebb::eval
