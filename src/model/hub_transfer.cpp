#include "model/hub_transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/error.h"

namespace ebb::model {
namespace {

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(char* text) const { curl_free(text); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDeleter>;
using CurlUrl = std::unique_ptr<CURLU, CurlDeleter>;
using CurlText = std::unique_ptr<char, CurlDeleter>;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  return CurlText(text).get();
}

// What the C callbacks see. Exceptions must not cross libcurl, so they wait here.
struct Running {
  const HttpRequest* request = nullptr;
  HttpReply* reply = nullptr;
  CURL* handle = nullptr;
  std::exception_ptr thrown;
  size_t n_page_bytes = 0;  // of an error page, which nobody reads
};

// An error page does not go on for ever; libcurl itself bounds the headers.
constexpr size_t kPageBytesMax = size_t{1} << 20;

size_t on_header(char* data, size_t size, size_t n, void* user) {
  HttpReply& reply = *static_cast<Running*>(user)->reply;
  std::string_view line(data, size * n);
  if (line.substr(0, 5) == "HTTP/") reply.headers.clear();  // an interim reply came before
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || reply.headers.size() > 200) return size * n;
  std::string_view value = line.substr(colon + 1);
  const size_t begin = value.find_first_not_of(" \t");
  const size_t end = value.find_last_not_of(" \t\r\n");
  value = begin == std::string_view::npos || end == std::string_view::npos
              ? std::string_view()
              : value.substr(begin, end - begin + 1);
  reply.headers[lower(std::string(line.substr(0, colon)))] = value;
  return size * n;
}

size_t on_data(char* data, size_t size, size_t n, void* user) {
  auto& running = *static_cast<Running*>(user);
  HttpReply& reply = *running.reply;
  curl_easy_getinfo(running.handle, CURLINFO_RESPONSE_CODE, &reply.status);
  if (reply.status != 200 && reply.status != 206) {
    running.n_page_bytes += size * n;
    return running.n_page_bytes > kPageBytesMax ? 0 : size * n;
  }
  try {
    if (running.request->on_body)
      running.request->on_body(std::as_bytes(std::span(data, size * n)), reply);
    return size * n;
  } catch (...) {
    running.thrown = std::current_exception();
    return 0;  // ends the transfer
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

void set_options(CURL* handle, const HttpRequest& request, Running& running,
                 const curl_slist* headers) {
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "ebb");
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT,
                   static_cast<long>(request.n_bytes_per_second_min));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                   static_cast<long>(request.stall_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &running);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &running);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_tick);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &running);
  if (request.method == HttpMethod::kHead) curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  if (request.range_begin > 0) {
    curl_easy_setopt(handle, CURLOPT_RANGE, fmt::format("{}-", request.range_begin).c_str());
  }
}

void initialise_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      throw Error(ErrorKind::kBackend, "libcurl does not start");
    }
  });
}

}  // namespace

HttpReply transfer(const HttpRequest& request) {
  initialise_once();
  const CurlHandle handle(curl_easy_init());
  if (!handle) throw Error(ErrorKind::kBackend, "libcurl gave no handle");
  HttpReply reply;
  Running running{&request, &reply, handle.get(), nullptr, 0};
  std::unique_ptr<curl_slist, CurlDeleter> headers;
  if (!request.bearer.empty()) {
    headers.reset(curl_slist_append(nullptr, ("Authorization: Bearer " + request.bearer).c_str()));
    if (!headers) throw Error(ErrorKind::kOutOfMemory, "no memory for a request header");
  }
  set_options(handle.get(), request, running, headers.get());
  const CURLcode code = curl_easy_perform(handle.get());
  if (running.thrown) std::rethrow_exception(running.thrown);
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Error(ErrorKind::kInterrupted, "cancelled");
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &reply.status);
  if (code != CURLE_OK) reply.failure = curl_easy_strerror(code);
  return reply;
}

std::string origin_of(const std::string& url) {
  const CurlUrl parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
  const std::string scheme = lower(part_of(parsed.get(), CURLUPART_SCHEME));
  if (scheme != "http" && scheme != "https") return "";
  if (!part_of(parsed.get(), CURLUPART_USER).empty()) return "";
  const std::string port = part_of(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  return fmt::format("{}://{}:{}", scheme, lower(part_of(parsed.get(), CURLUPART_HOST)), port);
}

std::string resolve_url(const std::string& base, const std::string& location) {
  const CurlUrl parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) return "";
  if (curl_url_set(parsed.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) return "";
  return part_of(parsed.get(), CURLUPART_URL);
}

std::string percent_encoded(const std::string& path) {
  std::string out;
  for (const char c : path) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') ||
                          std::string_view("-._~/").find(c) != std::string_view::npos;
    if (is_plain) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace ebb::model
