// A small HTTP/1.1 server on 127.0.0.1 for tests: one request a connection, answered by a function.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ebb::testing {

struct ServedRequest {
  std::string method, path;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct ServedReply {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  std::optional<size_t> cut_after;  // closes the connection after so many bytes of the body
  bool hangs = false;               // says nothing until the client goes
  bool has_endless_headers = false, has_endless_body = false;
  std::chrono::milliseconds drip{0};  // > 0: the body byte by byte, with these pauses
};

class LoopbackServer {
 public:
  using Handler = std::function<ServedReply(const ServedRequest&)>;

  explicit LoopbackServer(Handler handler)
      : handler_(std::move(handler)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    if (socket_ < 0 || ::bind(socket_, generic, size) != 0 || ::listen(socket_, 16) != 0 ||
        ::getsockname(socket_, generic, &size) != 0) {
      throw std::runtime_error("no loopback server");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~LoopbackServer() {
    is_stopping_ = true;
    const int wake = ::socket(AF_INET, SOCK_STREAM, 0);  // accept() returns for one last time
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)!::connect(wake, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    thread_.join();
    ::close(wake);
    ::close(socket_);
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  // `host`: "127.0.0.1" or "localhost", which are different hosts to a client.
  std::string url(const std::string& host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(port_);
  }
  std::vector<ServedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (true) {
      const int connection = ::accept(socket_, nullptr, nullptr);
      if (connection < 0 || is_stopping_) {
        if (connection >= 0) ::close(connection);
        return;
      }
      answer(connection);
      ::close(connection);
    }
  }

  void answer(int connection) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(connection, buffer, sizeof(buffer), 0);
      if (n <= 0) return;
      text.append(buffer, static_cast<size_t>(n));
    }
    const ServedRequest request = parse(text);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const ServedReply reply = handler_(request);
    if (reply.hangs) return wait_for_end(connection);
    std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " x\r\nConnection: close\r\n";
    for (const auto& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
    if (reply.has_endless_headers) return repeat(connection, out, "X-More: yes\r\n");
    if (reply.has_endless_body) {
      return repeat(connection, out + "\r\n", request.method == "HEAD" ? "" : "<p>more</p>");
    }
    if (reply.headers.count("Content-Length") == 0) {
      out += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    }
    out += "\r\n";
    const bool drips = reply.drip.count() > 0 && request.method != "HEAD";
    if (request.method != "HEAD" && !drips)
      out += reply.body.substr(0, reply.cut_after.value_or(reply.body.size()));
    for (size_t done = 0; done < out.size();) {
      const ssize_t n = ::send(connection, out.data() + done, out.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
    for (size_t i = 0; drips && i < reply.body.size() && !is_stopping_; ++i) {
      if (::send(connection, reply.body.data() + i, 1, MSG_NOSIGNAL) != 1) return;
      std::this_thread::sleep_for(reply.drip);
    }
  }

  // `begin`, then `more` until the client goes.
  void repeat(int connection, std::string begin, const std::string& more) const {
    for (int i = 0; i < 1000; ++i) begin += more;
    while (!is_stopping_ && ::send(connection, begin.data(), begin.size(), MSG_NOSIGNAL) > 0) {
      if (more.empty()) return;
      begin.clear();
      for (int i = 0; i < 1000; ++i) begin += more;
    }
  }

  void wait_for_end(int connection) const {
    char byte = 0;
    while (!is_stopping_ && ::recv(connection, &byte, 1, MSG_DONTWAIT) != 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  static ServedRequest parse(const std::string& text) {
    ServedRequest request;
    const size_t first = text.find(' ');
    const size_t second = text.find(' ', first + 1);
    request.method = text.substr(0, first);
    request.path = text.substr(first + 1, second - first - 1);
    size_t at = text.find("\r\n") + 2;
    while (at < text.size() && text.compare(at, 2, "\r\n") != 0) {
      const size_t end = text.find("\r\n", at);
      const size_t colon = text.find(':', at);
      std::string name = text.substr(at, colon - at);
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      request.headers[name] = text.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    return request;
  }

  Handler handler_;
  int socket_;
  uint16_t port_ = 0;
  std::atomic<bool> is_stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<ServedRequest> requests_;
  std::thread thread_;
};

}  // namespace ebb::testing
