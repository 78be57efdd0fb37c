#include "model/hub.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/platform.h"
#include "base/sha256.h"
#include "model/hub_transfer.h"

namespace ebb::model {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxRedirects = 8;
constexpr std::chrono::milliseconds kMaxWait{30000};

// What the hub says about a file before any of it is fetched.
struct Remote {
  uint64_t size_bytes = 0;
  std::string etag;    // changes when the file does
  std::string sha256;  // "" where the hub gives none
};

// Network trouble that another attempt may cure.
struct Retry {
  std::string reason;
  std::chrono::milliseconds wait_at_least{0};
};

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// "\"abc\"" and "W/\"abc\"" as "abc".
std::string unquoted(std::string text) {
  if (text.rfind("W/", 0) == 0) text.erase(0, 2);
  text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return text;
}

std::optional<uint64_t> parsed_number(const std::string& text) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
    return {};
  return std::stoull(text);
}

// The names beside a file: what has come so far, and notes about the whole or partial file.
fs::path beside(const fs::path& path, const char* ending) {
  fs::path out = path;
  out += ending;
  return out;
}

nlohmann::json read_notes(const fs::path& path) {
  std::ifstream in(path);
  auto notes = nlohmann::json::parse(in, nullptr, false);
  return notes.is_object() ? notes : nlohmann::json::object();
}

// "" where there is no such text: notes may be damaged like any file.
std::string note(const nlohmann::json& notes, const char* name) {
  const auto found = notes.find(name);
  return found != notes.end() && found->is_string() ? found->get<std::string>() : "";
}

void write_notes(const fs::path& path, const nlohmann::json& notes) {
  std::ofstream out(path, std::ios::trunc);
  out << notes.dump() << '\n';
  if (!out.flush()) throw Error::make(ErrorKind::kStorage, "{}: cannot be written", path.string());
}

uint64_t size_or_0(const fs::path& path) {
  std::error_code absent;
  const auto size = fs::file_size(path, absent);
  return absent ? 0 : size;
}

class Puller {
 public:
  explicit Puller(const HubRequest& request)
      : request_(request),
        address_(parse_hub_url(request.url)),
        origin_(origin_of(request.endpoint)),
        path_(request.folder / address_.owner / address_.repo / fs::path(address_.file)),
        part_(beside(path_, ".part")) {
    if (origin_.empty()) {
      throw Error::make(ErrorKind::kUsage,
                        "the hub's endpoint: expected an http or https url without a user name");
    }
    if (request.token.find_first_of("\r\n\t ") != std::string::npos) {
      throw Error(ErrorKind::kUsage, "the hub's token: found white space inside it");
    }
    std::string endpoint = request.endpoint;
    while (!endpoint.empty() && endpoint.back() == '/') endpoint.pop_back();
    url_ = fmt::format("{}/{}/{}/resolve/{}/{}", endpoint, address_.owner, address_.repo,
                       percent_encoded(address_.revision), percent_encoded(address_.file));
  }

  HubFile run() {
    if (request_.mode == HubMode::kOffline) return offline();
    const Remote remote = with_retries<Remote>([this] { return ask(); });
    if (auto cached = cached_copy(remote)) return *cached;
    prepare_part(remote);
    if (size_or_0(part_) < remote.size_bytes) {
      with_retries<int>(
          [&]() -> std::pair<std::optional<int>, Retry> { return fetch_once(remote); });
    }
    return finish(remote);
  }

 private:
  HubFile offline() const {
    const uint64_t size = size_or_0(path_);
    if (size == 0) {
      throw Error::make(ErrorKind::kBadModel, "{}: not in {}, and offline mode allows no download",
                        request_.url, request_.folder.string());
    }
    const auto notes = read_notes(beside(path_, ".json"));
    std::string sha256 =
        note(notes, "size_bytes") == std::to_string(size) ? note(notes, "sha256") : "";
    if (!is_sha256(sha256)) sha256 = sha256_file(path_);
    return {path_, sha256, size, HubCheck::kSizeOnly, true};
  }

  // Calls `attempt` until it gives a value; an attempt that brought something starts the count
  // anew. A server that hands out single bytes would keep a pull alive for ever.
  template <typename T, typename Attempt>
  T with_retries(Attempt attempt) {
    auto wait = request_.first_wait;
    int n_failed = 0;
    while (true) {
      const uint64_t before = size_or_0(part_);
      auto [value, retry] = attempt();
      if (value) return *std::move(value);
      if (size_or_0(part_) >= before + request_.n_bytes_worthwhile) {
        n_failed = 0;
        wait = request_.first_wait;
      }
      if (++n_failed >= request_.n_attempts_max) {
        throw Error::make(ErrorKind::kStorage,
                          "{}: {} (gave up after {} attempts; a later pull resumes)", url_,
                          retry.reason, n_failed);
      }
      sleep(std::min(std::max(wait, retry.wait_at_least), kMaxWait));
      wait *= 2;
    }
  }

  void sleep(std::chrono::milliseconds time) const {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      if (request_.is_cancelled && request_.is_cancelled())
        throw Error(ErrorKind::kInterrupted, "cancelled");
      std::this_thread::sleep_for(
          std::min<std::chrono::milliseconds>(time, std::chrono::milliseconds(50)));
    }
  }

  // Follows redirects by hand, so that the token goes to the endpoint's own host and nowhere else,
  // and a secure connection never turns into an open one.
  HttpReply follow(HttpRequest request, std::map<std::string, std::string>& first_headers) const {
    request.url = url_;
    request.stall_timeout = request_.stall_timeout;
    const auto seconds = static_cast<uint64_t>(std::max<int64_t>(request.stall_timeout.count(), 1));
    request.n_bytes_per_second_min = std::max<uint64_t>(request_.n_bytes_worthwhile / seconds, 1);
    request.is_cancelled = request_.is_cancelled;
    for (int i = 0; i <= kMaxRedirects; ++i) {
      const std::string origin = origin_of(request.url);
      request.bearer = origin == origin_ ? request_.token : "";
      HttpReply reply = transfer(request);
      for (const auto& entry : reply.headers) first_headers.insert(entry);
      const bool is_redirect = reply.status >= 301 && reply.status <= 308 && reply.status != 304;
      if (!is_redirect || !reply.failure.empty()) return reply;
      const std::string target = resolve_url(request.url, reply.header("location"));
      const std::string next = origin_of(target);
      if (next.empty() || (origin.rfind("https:", 0) == 0 && next.rfind("https:", 0) != 0)) {
        throw Error::make(ErrorKind::kStorage, "{}: redirected to '{}', expected an https address",
                          url_, next);
      }
      // The metadata of a large file is on the hub's own reply; asking the store for it would need
      // GET.
      if (request.method == HttpMethod::kHead && !reply.header("x-linked-etag").empty())
        return reply;
      request.url = target;
    }
    throw Error::make(ErrorKind::kStorage, "{}: redirected more than {} times", url_,
                      kMaxRedirects);
  }

  // Throws for replies that end the pull; gives a reason for those that another attempt may cure.
  std::optional<Retry> trouble(const HttpReply& reply) const {
    if (!reply.failure.empty()) return Retry{reply.failure};
    const long status = reply.status;
    if (status == 401 || status == 403) {
      throw Error::make(ErrorKind::kUsage, "{}: the hub answered {}: {}", url_, status,
                        request_.token.empty()
                            ? "the file needs a token (HF_TOKEN), or does not exist"
                            : "the token does not give access to this file");
    }
    if (status == 404) {
      throw Error::make(ErrorKind::kBadModel,
                        "{}: the hub answered 404: no such repository, revision or file", url_);
    }
    if (status == 408 || status == 429 || status >= 500) {
      const uint64_t seconds =
          std::min<uint64_t>(parsed_number(reply.header("retry-after")).value_or(0), 3600);
      return Retry{fmt::format("the hub answered {}", status), std::chrono::seconds(seconds)};
    }
    if (status >= 400 && status != 416) {
      throw Error::make(ErrorKind::kStorage, "{}: the hub answered {}", url_, status);
    }
    return std::nullopt;
  }

  std::pair<std::optional<Remote>, Retry> ask() const {
    HttpRequest head;
    head.method = HttpMethod::kHead;
    std::map<std::string, std::string> headers;
    const HttpReply reply = follow(std::move(head), headers);
    if (auto retry = trouble(reply)) return {std::nullopt, *retry};
    Remote remote;
    const std::string linked = headers["x-linked-size"];
    const auto size = parsed_number(linked.empty() ? reply.header("content-length") : linked);
    if (!size || *size == 0) {
      throw Error::make(ErrorKind::kStorage, "{}: the hub gave no size, expected one", url_);
    }
    remote.size_bytes = *size;
    const std::string linked_etag = unquoted(headers["x-linked-etag"]);
    remote.etag = linked_etag.empty() ? unquoted(reply.header("etag")) : linked_etag;
    if (is_sha256(remote.etag)) remote.sha256 = remote.etag;
    return {remote, {}};
  }

  // The finished file of an earlier pull, if it still is what the hub has.
  std::optional<HubFile> cached_copy(const Remote& remote) const {
    if (size_or_0(path_) != remote.size_bytes) return std::nullopt;
    const auto notes = read_notes(beside(path_, ".json"));
    std::string sha256 = note(notes, "etag") == remote.etag ? note(notes, "sha256") : "";
    if (!is_sha256(sha256) || (!remote.sha256.empty() && sha256 != remote.sha256))
      sha256 = sha256_file(path_);
    const bool is_same =
        remote.sha256.empty() ? note(notes, "etag") == remote.etag : sha256 == remote.sha256;
    if (!is_same) return std::nullopt;
    const HubCheck check = remote.sha256.empty() ? HubCheck::kSizeOnly : HubCheck::kSha256;
    return HubFile{path_, sha256, remote.size_bytes, check, true};
  }

  // Keeps a partial file of the same version and makes sure that the rest will fit on the disk.
  void prepare_part(const Remote& remote) const {
    std::error_code failed;
    fs::create_directories(path_.parent_path(), failed);
    if (failed) {
      throw Error::make(ErrorKind::kStorage, "{}: {}", path_.parent_path().string(),
                        failed.message());
    }
    const fs::path notes = beside(path_, ".part.json");
    const bool is_same = !remote.etag.empty() && note(read_notes(notes), "etag") == remote.etag;
    if (!is_same || size_or_0(part_) > remote.size_bytes) fs::remove(part_, failed);
    write_notes(notes, {{"etag", remote.etag}});
    const uint64_t n_missing = remote.size_bytes - size_or_0(part_);
    const auto space = fs::space(path_.parent_path(), failed);
    if (!failed && space.available < n_missing) {
      throw Error::make(ErrorKind::kStorage,
                        "{}: found {} bytes free, expected {} for the rest of the file",
                        path_.parent_path().string(), space.available, n_missing);
    }
  }

  // One GET from where the partial file ends.
  std::pair<std::optional<int>, Retry> fetch_once(const Remote& remote) {
    HttpRequest get;
    get.range_begin = size_or_0(part_);
    uint64_t n_bytes = get.range_begin;
    std::ofstream out;
    get.on_body = [&](std::span<const std::byte> piece, const HttpReply& reply) {
      if (!out.is_open()) {
        if (reply.status == 200) n_bytes = 0;  // the server sends the whole file
        const std::string range = fmt::format("bytes {}-", n_bytes);
        if (reply.status == 206 && reply.header("content-range").rfind(range, 0) != 0) {
          throw Error::make(ErrorKind::kStorage, "{}: found '{}', expected '{}'", url_,
                            reply.header("content-range"), range);
        }
        out.open(part_, std::ios::binary | (n_bytes == 0 ? std::ios::trunc : std::ios::app));
      }
      n_bytes += piece.size();
      if (n_bytes > remote.size_bytes) {
        out.close();
        drop_part();
        throw Error::make(ErrorKind::kBadModel, "{}: found more than the announced {} bytes", url_,
                          remote.size_bytes);
      }
      out.write(reinterpret_cast<const char*>(piece.data()),
                static_cast<std::streamsize>(piece.size()));
      if (!out)
        throw Error::make(ErrorKind::kStorage, "{}: cannot be written (disk full?)",
                          part_.string());
      if (request_.on_progress) request_.on_progress({n_bytes, remote.size_bytes});
    };
    std::map<std::string, std::string> headers;
    const HttpReply reply = follow(std::move(get), headers);
    if (out.is_open()) {
      out.close();
      if (!out)
        throw Error::make(ErrorKind::kStorage, "{}: cannot be written (disk full?)",
                          part_.string());
    }
    if (reply.status == 416) drop_part();
    if (auto retry = trouble(reply)) return {std::nullopt, *retry};
    if (n_bytes == remote.size_bytes && reply.status != 416) return {1, {}};
    return {std::nullopt, Retry{fmt::format("the connection ended after {} of {} bytes", n_bytes,
                                            remote.size_bytes)}};
  }

  void drop_part() const {
    std::error_code ignored;
    fs::remove(part_, ignored);
    fs::remove(beside(path_, ".part.json"), ignored);
  }

  HubFile finish(const Remote& remote) const {
    const uint64_t size = size_or_0(part_);
    const std::string sha256 = sha256_file(part_);
    if (size != remote.size_bytes || (!remote.sha256.empty() && sha256 != remote.sha256)) {
      drop_part();
      throw Error::make(ErrorKind::kBadModel,
                        "{}: found {} bytes with SHA-256 {}, expected {} bytes with {}", url_, size,
                        sha256, remote.size_bytes, remote.sha256.empty() ? "any" : remote.sha256);
    }
    platform::sync_file(part_);
    std::error_code failed;
    fs::rename(part_, path_, failed);
    if (failed) throw Error::make(ErrorKind::kStorage, "{}: {}", path_.string(), failed.message());
    write_notes(beside(path_, ".json"), {{"url", request_.url},
                                         {"etag", remote.etag},
                                         {"sha256", sha256},
                                         {"size_bytes", std::to_string(size)}});
    fs::remove(beside(path_, ".part.json"), failed);
    const HubCheck check = remote.sha256.empty() ? HubCheck::kSizeOnly : HubCheck::kSha256;
    return {path_, sha256, size, check, false};
  }

  const HubRequest& request_;
  HubAddress address_;
  std::string origin_;
  fs::path path_, part_;
  std::string url_;
};

}  // namespace

HubFile pull(const HubRequest& request) {
  try {
    return Puller(request).run();
  } catch (const Error& error) {
    std::string message = error.what();
    const std::string& token = request.token;
    for (size_t at = 0; !token.empty() && (at = message.find(token, at)) != std::string::npos;
         at += 3) {
      message.replace(at, token.size(), "***");
    }
    throw Error(error.kind(), message);
  }
}

}  // namespace ebb::model
