// One HTTP request by libcurl: no redirects, no retries, no policy. Internal to the hub client.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

namespace ebb::model {

enum class HttpMethod { kHead, kGet };

struct HttpReply {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string failure;                         // "" when the whole reply came, else why not

  // "" where absent.
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string url;
  std::string bearer;                      // "" = no Authorization header
  uint64_t range_begin = 0;                // > 0: only the bytes from here on
  std::chrono::seconds stall_timeout{60};  // that long below the least speed
  uint64_t n_bytes_per_second_min = 1;
  // The body of a 200 or 206 reply, piece by piece, with the reply's status and headers; what it
  // throws ends the request and is rethrown.
  std::function<void(std::span<const std::byte> piece, const HttpReply& reply)> on_body;
  std::function<bool()> is_cancelled;
};

// Throws: kInterrupted when cancelled, and whatever on_body throws; network trouble is in
// `failure`.
HttpReply transfer(const HttpRequest& request);

// "https://host:port" in lower case, "" where the url is not http or https or holds a user name.
std::string origin_of(const std::string& url);
// `location` made absolute against the url that answered with it; "" where it is malformed.
std::string resolve_url(const std::string& base, const std::string& location);
// Every byte apart from letters, digits and "-._~/" as %XX.
std::string percent_encoded(const std::string& path);

}  // namespace ebb::model
