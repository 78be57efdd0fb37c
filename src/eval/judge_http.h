// One POST of JSON by libcurl: bounded in time and size, no redirects, no retries. Internal to the
// judge on a server.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace ebb::eval {

struct PostRequest {
  std::string url;
  std::string body;
  std::string bearer;  // "" = no Authorization header
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds total_timeout{120'000};
  std::chrono::seconds stall_timeout{60};  // without a byte
  size_t n_body_bytes_max = size_t{1} << 20;
  std::function<bool()> is_cancelled;  // may be empty
};

enum class PostFailure { kNone, kNetwork, kTooLarge };

struct PostReply {
  long status = 0;
  std::string body;
  std::string retry_after;  // header, "" where absent
  PostFailure failure = PostFailure::kNone;
  std::string reason;  // of the failure
};

// Throws: kInterrupted when cancelled, kBackend where libcurl does not start.
PostReply post_json(const PostRequest& request);

// Whether a key may travel there: https, or http within this machine.
bool is_safe_for_keys(const std::string& url);
// "" where this is a plain http(s) URL; else what is wrong with it. Never repeats the URL, which
// may hold a password.
std::string url_problem(const std::string& url);

// A Retry-After header (seconds or a date) as a wait from now; 0 where it says nothing sensible.
std::chrono::milliseconds wait_from_header(const std::string& retry_after);

}  // namespace ebb::eval
