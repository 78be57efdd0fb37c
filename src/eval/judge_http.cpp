#include "eval/judge_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/error.h"

namespace ebb::eval {
namespace {

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(char* text) const { curl_free(text); }
};
using CurlUrl = std::unique_ptr<CURLU, CurlDeleter>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  return std::unique_ptr<char, CurlDeleter>(text).get();
}

// What the C callbacks see. Exceptions must not cross libcurl, so they wait here.
struct Running {
  const PostRequest* request = nullptr;
  PostReply* reply = nullptr;
  std::exception_ptr thrown;
};

size_t on_header(char* data, size_t size, size_t n, void* user) {
  const std::string_view line(data, size * n);
  constexpr std::string_view kName = "retry-after:";
  PostReply& reply = *static_cast<Running*>(user)->reply;
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  if (line.size() < kName.size() || !std::equal(kName.begin(), kName.end(), line.begin(),
                                                [&](char b, char a) { return same(a, b); })) {
    return size * n;
  }
  const std::string_view value = line.substr(kName.size());
  const size_t begin = value.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || value.size() > 200) return size * n;
  reply.retry_after = value.substr(begin, value.find_last_not_of(" \t\r\n") - begin + 1);
  return size * n;
}

size_t on_data(char* data, size_t size, size_t n, void* user) {
  auto& running = *static_cast<Running*>(user);
  PostReply& reply = *running.reply;
  if (size * n > running.request->n_body_bytes_max - reply.body.size()) {
    reply.failure = PostFailure::kTooLarge;
    return 0;  // ends the transfer
  }
  try {
    reply.body.append(data, size * n);
    return size * n;
  } catch (...) {
    running.thrown = std::current_exception();
    return 0;
  }
}

int on_tick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& running = *static_cast<Running*>(user);
  try {
    return running.request->is_cancelled && running.request->is_cancelled() ? 1 : 0;
  } catch (...) {
    running.thrown = std::current_exception();
    return 1;
  }
}

void set_options(CURL* handle, const PostRequest& request, Running& running,
                 const curl_slist* headers) {
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  // A redirect could carry the key and the texts to another host, so none is followed.
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "ebb");
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.total_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                   static_cast<long>(request.stall_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(handle, CURLOPT_POST, 1L);
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &running);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &running);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_tick);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &running);
}

void initialise_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      throw Error(ErrorKind::kBackend, "libcurl does not start");
    }
  });
}

std::unique_ptr<curl_slist, CurlDeleter> headers_of(const PostRequest& request) {
  std::unique_ptr<curl_slist, CurlDeleter> list;
  // "Expect:" switches off the pause before larger bodies.
  std::string lines[] = {"Content-Type: application/json",
                         "Expect:", "Authorization: Bearer " + request.bearer};
  for (size_t i = 0; i < (request.bearer.empty() ? 2U : 3U); ++i) {
    curl_slist* longer = curl_slist_append(list.get(), lines[i].c_str());
    if (longer == nullptr) throw Error(ErrorKind::kOutOfMemory, "no memory for a request header");
    (void)list.release();
    list.reset(longer);
  }
  return list;
}

}  // namespace

PostReply post_json(const PostRequest& request) {
  initialise_once();
  const std::unique_ptr<CURL, CurlDeleter> handle(curl_easy_init());
  if (!handle) throw Error(ErrorKind::kBackend, "libcurl gave no handle");
  PostReply reply;
  Running running{&request, &reply, nullptr};
  const auto headers = headers_of(request);
  set_options(handle.get(), request, running, headers.get());
  const CURLcode code = curl_easy_perform(handle.get());
  if (running.thrown) std::rethrow_exception(running.thrown);
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Error(ErrorKind::kInterrupted, "cancelled");
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &reply.status);
  if (reply.failure == PostFailure::kTooLarge) {
    reply.reason = fmt::format("found a body of more than {} bytes, expected an answer",
                               request.n_body_bytes_max);
  } else if (code != CURLE_OK) {
    reply.failure = PostFailure::kNetwork;
    reply.reason = curl_easy_strerror(code);
  }
  return reply;
}

std::string url_problem(const std::string& url) {
  const CurlUrl parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return "found no URL, expected http(s)://host/path";
  }
  const std::string scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return fmt::format("found scheme '{}', expected http or https", scheme);
  }
  if (!part_of(parsed.get(), CURLUPART_USER).empty() ||
      !part_of(parsed.get(), CURLUPART_PASSWORD).empty()) {
    return "found a user name in the URL, expected a key in an environment variable";
  }
  if (!part_of(parsed.get(), CURLUPART_QUERY).empty() ||
      !part_of(parsed.get(), CURLUPART_FRAGMENT).empty()) {
    return "found a '?' or '#' in the URL, expected a path that ends like /v1";
  }
  return "";
}

bool is_safe_for_keys(const std::string& url) {
  const CurlUrl parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return false;
  const std::string host = part_of(parsed.get(), CURLUPART_HOST);
  return part_of(parsed.get(), CURLUPART_SCHEME) == "https" || host == "localhost" ||
         host == "127.0.0.1" || host == "[::1]";
}

std::chrono::milliseconds wait_from_header(const std::string& retry_after) {
  long long seconds = 0;
  const char* end = retry_after.data() + retry_after.size();
  const auto [rest, failed] = std::from_chars(retry_after.data(), end, seconds);
  if (failed != std::errc() || rest != end) {
    const time_t date = curl_getdate(retry_after.c_str(), nullptr);
    seconds = date < 0 ? 0 : static_cast<long long>(date - std::time(nullptr));
  }
  return std::chrono::seconds(std::clamp(seconds, 0LL, 86'400LL));
}

}  // namespace ebb::eval
