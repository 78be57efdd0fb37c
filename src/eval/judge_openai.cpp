#include "eval/judge_openai.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/json_checks.h"

namespace ebb::eval {
namespace {

using Json = nlohmann::ordered_json;

// Depth is bounded, because the body is a stranger's and a JSON value is destroyed recursively.
Json parse_body(const std::string& body) {
  constexpr int kDepthMax = 32;
  bool is_too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kDepthMax) is_too_deep = true;
    return depth <= kDepthMax;
  };
  if (holds_nul(body)) return Json(Json::value_t::discarded);
  Json json = Json::parse(body, watch, false);
  return is_too_deep ? Json(Json::value_t::discarded) : json;
}

const Json* member(const Json* object, const char* name) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(name);
  return found == object->end() ? nullptr : &*found;
}

const Json* first_of(const Json* list) {
  return list != nullptr && list->is_array() && !list->empty() ? &list->front() : nullptr;
}

std::string text_of(const Json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

// A stranger's words for an error text: short, on one line.
std::string quoted(const std::string& text) {
  std::string out = text.substr(0, 80);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return out;
}

bool is_worth_another_try(long status) { return status == 408 || status == 429 || status >= 500; }

}  // namespace

OpenAiJudge::OpenAiJudge(OpenAiOptions options) : options_(std::move(options)) {
  while (!options_.base_url.empty() && options_.base_url.back() == '/')
    options_.base_url.pop_back();
  if (const std::string problem = url_problem(options_.base_url); !problem.empty()) {
    throw Error::make(ErrorKind::kUsage, "judge: {}", problem);
  }
  if (options_.model.empty()) {
    throw Error(ErrorKind::kUsage, "judge: found no model, expected openai:URL,model=NAME");
  }
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::all_of(options_.key.begin(), options_.key.end(), is_plain)) {
    throw Error(ErrorKind::kUsage,
                "judge: found a key with spaces or control characters, expected one word");
  }
  if (!options_.key.empty() && !is_safe_for_keys(options_.base_url)) {
    throw Error(ErrorKind::kUsage,
                "judge: found a key for an http URL on another machine, expected https");
  }
}

std::string OpenAiJudge::name() const {
  return fmt::format("openai:{},model={}", options_.base_url, options_.model);
}

std::string OpenAiJudge::without_key(std::string text) const {
  const std::string& key = options_.key;
  for (size_t at = 0; !key.empty() && (at = text.find(key, at)) != std::string::npos; at += 3) {
    text.replace(at, key.size(), "***");
  }
  return text;
}

std::string OpenAiJudge::request_body(const Prompt& prompt) const {
  Json body;
  body["model"] = options_.model;
  body["messages"] = Json::array({{{"role", "system"}, {"content", prompt.system}},
                                  {{"role", "user"}, {"content", prompt.user}}});
  body["temperature"] = 0;
  body["max_tokens"] = prompt.n_tokens_max;
  body["stream"] = false;
  if (sends_schema_ && !prompt.json_schema.empty()) {
    Json format;
    format["type"] = "json_schema";
    format["json_schema"]["name"] = "verdict";
    format["json_schema"]["strict"] = true;
    format["json_schema"]["schema"] = Json::parse(prompt.json_schema);
    body["response_format"] = format;
  }
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Answer OpenAiJudge::read_completion(const std::string& body) const {
  const Json json = parse_body(body);
  const Json* message = member(first_of(member(&json, "choices")), "message");
  const Json* content = member(message, "content");
  if (content == nullptr || !content->is_string()) {
    return failed_answer("found a body without choices[0].message.content, expected a completion");
  }
  const std::string model = text_of(member(&json, "model"));
  if (!options_.expected_model.empty() && model != options_.expected_model) {
    return failed_answer(fmt::format("found an answer of model '{}', expected '{}'", quoted(model),
                                     options_.expected_model));
  }
  return {content->get<std::string>(), ""};
}

OpenAiJudge::Attempt OpenAiJudge::attempt(const Prompt& prompt) {
  PostRequest request;
  request.url = options_.base_url + "/chat/completions";
  request.body = request_body(prompt);
  request.bearer = options_.key;
  request.connect_timeout = options_.connect_timeout;
  request.total_timeout = options_.total_timeout;
  request.stall_timeout = options_.stall_timeout;
  request.is_cancelled = options_.is_cancelled;
  const PostReply reply = post_json(request);
  if (reply.failure != PostFailure::kNone) {
    return {failed_answer(reply.reason), reply.failure == PostFailure::kNetwork};
  }
  if (reply.status == 200) return {read_completion(reply.body)};
  if ((reply.status == 400 || reply.status == 422) && sends_schema_) {
    // Older servers refuse a response_format; the answer is checked here in any case.
    sends_schema_ = false;
    return attempt(prompt);
  }
  if (reply.status >= 300 && reply.status < 400) {
    return {failed_answer(
        fmt::format("found a redirect ({}), expected the server itself", reply.status))};
  }
  // The body of an error is not shown: servers repeat parts of keys in it.
  return {failed_answer(fmt::format("the server answered {}", reply.status)),
          is_worth_another_try(reply.status), wait_from_header(reply.retry_after)};
}

Answer OpenAiJudge::generate(const Prompt& prompt) {
  std::chrono::milliseconds backoff = options_.first_wait;
  for (int n_attempts = 1;; ++n_attempts) {
    Attempt result = attempt(prompt);
    result.answer.text = without_key(std::move(result.answer.text));
    result.answer.failure = without_key(std::move(result.answer.failure));
    if (result.answer.has_text() || !result.can_retry) return result.answer;
    if (n_attempts >= options_.n_attempts_max) {
      result.answer.failure += fmt::format(" ({} attempts)", n_attempts);
      return result.answer;
    }
    wait(std::min(std::max(backoff, result.wait_at_least), options_.wait_max));
    backoff = std::min(backoff * 2, options_.wait_max);
  }
}

void OpenAiJudge::wait(std::chrono::milliseconds time) const {
  constexpr std::chrono::milliseconds kSlice{50};
  while (time.count() > 0) {
    if (options_.is_cancelled && options_.is_cancelled()) {
      throw Error(ErrorKind::kInterrupted, "cancelled");
    }
    std::this_thread::sleep_for(std::min(kSlice, time));
    time -= kSlice;
  }
}

}  // namespace ebb::eval
