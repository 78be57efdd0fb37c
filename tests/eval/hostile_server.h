// A server on 127.0.0.1 that may misbehave in any way: every connection is handed to a function
// with the socket and the whole request. One connection at a time.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ebb::testing {

class Connection {
 public:
  Connection(int socket, const std::atomic<bool>& is_stopping)
      : socket_(socket), is_stopping_(is_stopping) {}

  // False once the client has gone.
  bool send(const std::string& text) const {
    for (size_t done = 0; done < text.size();) {
      const ssize_t n = ::send(socket_, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }
  void reply(int status, const std::string& body, const std::string& headers = "") const {
    send("HTTP/1.1 " + std::to_string(status) + " x\r\nConnection: close\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  // Says nothing until the client goes or the server stops.
  void hang() const {
    char byte = 0;
    while (!is_stopping_ && ::recv(socket_, &byte, 1, MSG_DONTWAIT) != 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  // Closes with a reset instead of an orderly end.
  void reset() const {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }

 private:
  int socket_;
  const std::atomic<bool>& is_stopping_;
};

class HostileServer {
 public:
  // n: how many requests came before this one.
  using Handler = std::function<void(const Connection&, const std::string& request, size_t n)>;

  explicit HostileServer(Handler handler)
      : handler_(std::move(handler)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = loopback();
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    if (socket_ < 0 || ::bind(socket_, generic, size) != 0 || ::listen(socket_, 16) != 0 ||
        ::getsockname(socket_, generic, &size) != 0) {
      throw std::runtime_error("no loopback server");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HostileServer() {
    is_stopping_ = true;
    const int wake = ::socket(AF_INET, SOCK_STREAM, 0);  // accept() returns for one last time
    sockaddr_in address = loopback();
    address.sin_port = htons(port_);
    (void)!::connect(wake, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    thread_.join();
    ::close(wake);
    ::close(socket_);
  }
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  static sockaddr_in loopback() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void serve() {
    while (true) {
      const int socket = ::accept(socket_, nullptr, nullptr);
      if (socket >= 0 && !is_stopping_) answer(socket);
      if (socket >= 0) ::close(socket);
      if (socket < 0 || is_stopping_) return;
    }
  }

  void answer(int socket) {
    const std::string request = read_request(socket);
    size_t n = 0;
    {
      const std::lock_guard lock(mutex_);
      n = requests_.size();
      requests_.push_back(request);
    }
    handler_(Connection(socket, is_stopping_), request, n);
  }

  static std::string read_request(int socket) {
    std::string text;
    size_t wanted = std::string::npos;
    char buffer[4096];
    while (text.size() < wanted) {
      const ssize_t n = ::recv(socket, buffer, sizeof(buffer), 0);
      if (n <= 0) return text;
      text.append(buffer, static_cast<size_t>(n));
      const size_t end = text.find("\r\n\r\n");
      const size_t length = text.find("Content-Length: ");
      if (end != std::string::npos && wanted == std::string::npos) {
        wanted = end + 4 + (length < end ? std::stoul(text.substr(length + 16)) : 0);
      }
    }
    return text;
  }

  Handler handler_;
  int socket_;
  uint16_t port_ = 0;
  std::atomic<bool> is_stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace ebb::testing
