// A hub that tests run on loopback, and a folder to pull into: no network, no outside server.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"
#include "base/sha256.h"
#include "model/gguf_builder.h"
#include "model/hub.h"
#include "model/loopback_server.h"

namespace ebb::model {

namespace fs = std::filesystem;
using ebb::testing::LoopbackServer;
using ebb::testing::ServedReply;
using ebb::testing::ServedRequest;
using ::testing::HasSubstr;
using ::testing::Not;

inline constexpr const char* kPath = "/owner/repo/resolve/main/file.gguf";
inline constexpr const char* kToken = "hf_secretsecret";

inline std::string content() {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += std::to_string(i) + ' ';
  return text;
}

// What a hub answers for a large file: the bytes, or the part that a range asks for.
inline ServedReply file_reply(const ServedRequest& request, const std::string& body) {
  ServedReply reply;
  reply.headers["X-Linked-Etag"] = '"' + sha256_hex(body) + '"';
  reply.headers["X-Linked-Size"] = std::to_string(body.size());
  reply.body = body;
  const auto range = request.headers.find("range");
  if (range != request.headers.end()) {
    const size_t begin = std::stoull(range->second.substr(6));  // "bytes=123-"
    reply.status = 206;
    reply.headers["Content-Range"] = "bytes " + std::to_string(begin) + "-" +
                                     std::to_string(body.size() - 1) + "/" +
                                     std::to_string(body.size());
    reply.body = body.substr(begin);
  }
  return reply;
}

class Hub : public ::testing::Test {
 protected:
  HubRequest request_to(const LoopbackServer& server) const {
    HubRequest request;
    request.url = "hf://owner/repo/file.gguf";
    request.folder = folder_.path();
    request.endpoint = server.url();
    request.token = kToken;
    request.first_wait = std::chrono::milliseconds(1);
    return request;
  }
  fs::path final_path() const { return folder_.path() / "owner/repo/file.gguf"; }
  fs::path part_path() const { return folder_.path() / "owner/repo/file.gguf.part"; }

  static std::string text_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // The error of a pull that must fail and must leave nothing under the final name.
  Error error_of(const HubRequest& request) const {
    try {
      pull(request);
    } catch (const Error& error) {
      EXPECT_FALSE(fs::exists(final_path()));
      EXPECT_THAT(error.what(), Not(HasSubstr(kToken)));
      return error;
    }
    ADD_FAILURE() << "the pull succeeded";
    return Error(ErrorKind::kInternal, "none");
  }

  testing::TemporaryFolder folder_;
};

}  // namespace ebb::model
