// Pulling files from a hub that this test runs on loopback: no network, no outside server.
#include "model/hub.h"

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
#include "model/loopback_server.h"

namespace ebb::model {
namespace {

namespace fs = std::filesystem;
using ebb::testing::LoopbackServer;
using ebb::testing::ServedReply;
using ebb::testing::ServedRequest;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPath = "/owner/repo/resolve/main/file.gguf";
constexpr const char* kToken = "hf_secretsecret";

std::string content() {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += std::to_string(i) + ' ';
  return text;
}

// What a hub answers for a large file: the bytes, or the part that a range asks for.
ServedReply file_reply(const ServedRequest& request, const std::string& body) {
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

TEST_F(Hub, AFileArrivesWholeCheckedAndWithNothingLeftBeside) {
  const std::string body = content();
  const LoopbackServer server(
      [&](const ServedRequest& request) { return file_reply(request, body); });
  HubRequest request = request_to(server);
  HubProgress last;
  request.on_progress = [&](const HubProgress& progress) { last = progress; };
  const HubFile file = pull(request);
  EXPECT_EQ(file.path, final_path());
  EXPECT_EQ(text_of(file.path), body);
  EXPECT_EQ(file.sha256, sha256_hex(body));
  EXPECT_EQ(file.size_bytes, body.size());
  EXPECT_EQ(file.check, HubCheck::kSha256);
  EXPECT_FALSE(file.was_cached);
  EXPECT_FALSE(fs::exists(part_path()));
  EXPECT_EQ(last.n_bytes_done, body.size());
  EXPECT_EQ(last.n_bytes_total, body.size());
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].method, "HEAD");
  EXPECT_EQ(requests[1].path, kPath);
  EXPECT_EQ(requests[1].headers.at("authorization"), std::string("Bearer ") + kToken);
}

TEST_F(Hub, ASecondPullAsksOnlyWhetherTheFileIsStillTheSame) {
  std::string body = content();
  const LoopbackServer server(
      [&](const ServedRequest& request) { return file_reply(request, body); });
  pull(request_to(server));
  const HubFile again = pull(request_to(server));
  EXPECT_TRUE(again.was_cached);
  EXPECT_EQ(again.sha256, sha256_hex(body));
  EXPECT_EQ(server.requests().size(), 3U);
  body[5] = 'X';  // a new version of the same length
  EXPECT_FALSE(pull(request_to(server)).was_cached);
  EXPECT_EQ(text_of(final_path()), body);
}

TEST_F(Hub, ACutConnectionIsResumedWhereItStopped) {
  const std::string body = content();
  std::atomic<int> n_cuts = 3;
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    if (request.method == "GET" && n_cuts-- > 0) reply.cut_after = 20000;
    return reply;
  });
  EXPECT_EQ(pull(request_to(server)).sha256, sha256_hex(body));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 5U);
  EXPECT_EQ(requests[1].headers.count("range"), 0U);
  EXPECT_EQ(requests[2].headers.at("range"), "bytes=20000-");
  EXPECT_EQ(requests[4].headers.at("range"), "bytes=60000-");
}

TEST_F(Hub, ALaterPullGoesOnFromWhatAnEarlierOneLeft) {
  const std::string body = content();
  std::atomic<bool> is_broken = true;
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    if (request.method == "GET" && is_broken)
      reply.cut_after = request.headers.count("range") > 0 ? 0 : 1000;
    return reply;
  });
  const Error error = error_of(request_to(server));
  EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("a later pull resumes"));
  EXPECT_EQ(fs::file_size(part_path()), 1000U);
  is_broken = false;
  EXPECT_EQ(pull(request_to(server)).sha256, sha256_hex(body));
  EXPECT_EQ(server.requests().back().headers.at("range"), "bytes=1000-");
}

TEST_F(Hub, APartOfAnotherVersionIsThrownAway) {
  std::string body = content();
  std::atomic<bool> is_broken = true;
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    if (request.method == "GET" && is_broken)
      reply.cut_after = request.headers.count("range") > 0 ? 0 : 1000;
    return reply;
  });
  error_of(request_to(server));
  is_broken = false;
  body = "new " + body;
  EXPECT_EQ(pull(request_to(server)).sha256, sha256_hex(body));
  EXPECT_EQ(server.requests().back().headers.count("range"), 0U);
}

TEST_F(Hub, AServerWithoutRangesStartsTheFileAnew) {
  const std::string body = content();
  std::atomic<int> n_cuts = 1;
  const LoopbackServer server([&](ServedRequest request) {
    request.headers.erase("range");
    ServedReply reply = file_reply(request, body);
    if (request.method == "GET" && n_cuts-- > 0) reply.cut_after = 20000;
    return reply;
  });
  EXPECT_EQ(text_of(pull(request_to(server)).path), body);
}

TEST_F(Hub, ARangeThatBeginsElsewhereIsRefused) {
  const std::string body = content();
  std::atomic<int> n_cuts = 1;
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    if (request.method == "GET" && n_cuts-- > 0) reply.cut_after = 20000;
    if (reply.status == 206) reply.headers["Content-Range"] = "bytes 5-9/10";
    return reply;
  });
  EXPECT_THAT(error_of(request_to(server)).what(),
              HasSubstr("found 'bytes 5-9/10', expected 'bytes 20000-'"));
}

TEST_F(Hub, OtherBytesThanTheHubsHashAreRefusedAndForgotten) {
  const std::string body = content();
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    reply.headers["X-Linked-Etag"] = '"' + sha256_hex("something else") + '"';
    return reply;
  });
  const Error error = error_of(request_to(server));
  EXPECT_EQ(error.kind(), ErrorKind::kBadModel);
  EXPECT_THAT(error.what(), HasSubstr(sha256_hex("something else")));
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(Hub, MoreBytesThanAnnouncedAreRefused) {
  const std::string body = content();
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    reply.headers["X-Linked-Size"] = "1000";
    return reply;
  });
  EXPECT_THAT(error_of(request_to(server)).what(), HasSubstr("more than the announced 1000 bytes"));
}

TEST_F(Hub, AFileWithoutAHubHashIsCheckedBySizeAndSaysSo) {
  const std::string body = content();
  const LoopbackServer server([&](const ServedRequest&) {
    return ServedReply{200, {{"ETag", "\"0123456789abcdef0123456789abcdef01234567\""}}, body, {}};
  });
  EXPECT_EQ(pull(request_to(server)).check, HubCheck::kSizeOnly);
  EXPECT_TRUE(pull(request_to(server)).was_cached);
}

TEST_F(Hub, RefusalsAreTypedSayWhatToDoAndAreNotRepeated) {
  const struct {
    int status;
    ErrorKind kind;
    const char* message;
  } cases[] = {{401, ErrorKind::kUsage, "the token does not give access"},
               {403, ErrorKind::kUsage, "the token does not give access"},
               {404, ErrorKind::kBadModel, "no such repository, revision or file"}};
  for (const auto& c : cases) {
    const LoopbackServer server([&](const ServedRequest&) {
      return ServedReply{c.status, {}, kToken, {}};
    });
    const Error error = error_of(request_to(server));
    EXPECT_EQ(error.kind(), c.kind);
    EXPECT_THAT(error.what(), HasSubstr(c.message));
    EXPECT_EQ(server.requests().size(), 1U);
  }
  const LoopbackServer server([&](const ServedRequest&) { return ServedReply{401, {}, "", {}}; });
  HubRequest anonymous = request_to(server);
  anonymous.token.clear();
  EXPECT_THAT(error_of(anonymous).what(), HasSubstr("needs a token (HF_TOKEN)"));
}

TEST_F(Hub, BusyServersAreAskedAgainButNotForEver) {
  const std::string body = content();
  std::atomic<int> n_busy = 2;
  const LoopbackServer server([&](const ServedRequest& request) {
    return n_busy-- > 0 ? ServedReply{503, {}, "", {}} : file_reply(request, body);
  });
  EXPECT_EQ(pull(request_to(server)).size_bytes, body.size());

  const LoopbackServer dead([&](const ServedRequest&) { return ServedReply{500, {}, "", {}}; });
  HubRequest request = request_to(dead);
  request.url = "hf://owner/repo/other.gguf";
  request.n_attempts_max = 3;
  try {
    pull(request);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStorage);
    EXPECT_THAT(error.what(), HasSubstr("answered 500 (gave up after 3 attempts"));
  }
  EXPECT_EQ(dead.requests().size(), 3U);
}

TEST_F(Hub, TheTokenStaysWithTheEndpointWhenTheFileIsElsewhere) {
  const std::string body = content();
  const LoopbackServer store(
      [&](const ServedRequest& request) { return file_reply(request, body); });
  const LoopbackServer server([&](const ServedRequest& request) {
    ServedReply reply = file_reply(request, body);
    reply.status = 302;
    reply.headers["Location"] = store.url() + "/signed?key=abc";
    reply.headers.erase("Content-Range");
    reply.body.clear();
    return reply;
  });
  EXPECT_EQ(pull(request_to(server)).sha256, sha256_hex(body));
  for (const auto& request : server.requests())
    EXPECT_EQ(request.headers.count("authorization"), 1U);
  ASSERT_EQ(store.requests().size(), 1U);  // only the bytes come from there
  EXPECT_EQ(store.requests()[0].headers.count("authorization"), 0U);
  EXPECT_EQ(store.requests()[0].path, "/signed?key=abc");
}

TEST_F(Hub, ARenamedRepositoryOnTheSameHostIsFollowedWithTheToken) {
  const std::string body = content();
  const LoopbackServer server([&](const ServedRequest& request) {
    if (request.path == kPath) return ServedReply{307, {{"Location", "/new/name"}}, "", {}};
    return file_reply(request, body);
  });
  EXPECT_EQ(pull(request_to(server)).sha256, sha256_hex(body));
  EXPECT_EQ(server.requests().back().path, "/new/name");
  EXPECT_EQ(server.requests().back().headers.count("authorization"), 1U);
}

TEST_F(Hub, EndlessAndForeignRedirectsEnd) {
  const LoopbackServer loop([&](const ServedRequest&) {
    return ServedReply{302, {{"Location", kPath}}, "", {}};
  });
  EXPECT_THAT(error_of(request_to(loop)).what(), HasSubstr("redirected more than"));
  const LoopbackServer foreign([&](const ServedRequest&) {
    return ServedReply{302, {{"Location", "file:///etc/passwd"}}, "", {}};
  });
  EXPECT_EQ(error_of(request_to(foreign)).kind(), ErrorKind::kStorage);
}

TEST_F(Hub, OfflineTakesWhatIsThereAndAsksNobody) {
  const std::string body = content();
  const LoopbackServer server(
      [&](const ServedRequest& request) { return file_reply(request, body); });
  HubRequest offline = request_to(server);
  offline.mode = HubMode::kOffline;
  const Error error = error_of(offline);
  EXPECT_EQ(error.kind(), ErrorKind::kBadModel);
  EXPECT_THAT(error.what(), HasSubstr("offline mode allows no download"));
  EXPECT_TRUE(server.requests().empty());
  pull(request_to(server));
  const size_t n_requests = server.requests().size();
  const HubFile file = pull(offline);
  EXPECT_TRUE(file.was_cached);
  EXPECT_EQ(file.sha256, sha256_hex(body));
  EXPECT_EQ(server.requests().size(), n_requests);
}

TEST_F(Hub, ACancelledPullKeepsWhatHasCome) {
  const std::string body = content();
  const LoopbackServer server(
      [&](const ServedRequest& request) { return file_reply(request, body); });
  HubRequest request = request_to(server);
  bool is_cancelled = false;
  request.on_progress = [&](const HubProgress&) { is_cancelled = true; };
  request.is_cancelled = [&] { return is_cancelled; };
  try {
    pull(request);  // loopback may be quicker than the cancellation
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted);
    EXPECT_FALSE(fs::exists(final_path()));
    EXPECT_GT(fs::file_size(part_path()), 0U);
  }
  request.is_cancelled = [] { return true; };
  request.url = "hf://owner/repo/other.gguf";
  try {
    pull(request);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted);
  }
}

TEST_F(Hub, AServerThatIsNotThereIsAStorageErrorAfterTheLastAttempt) {
  std::string endpoint;
  {
    const LoopbackServer gone([](const ServedRequest&) { return ServedReply(); });
    endpoint = gone.url();
  }
  const LoopbackServer other([](const ServedRequest&) { return ServedReply(); });
  HubRequest request = request_to(other);
  request.endpoint = endpoint;
  request.n_attempts_max = 2;
  EXPECT_EQ(error_of(request).kind(), ErrorKind::kStorage);
}

TEST_F(Hub, AServerThatHangsOrDripsIsGivenUp) {
  const std::string body = content();
  const auto begin = std::chrono::steady_clock::now();
  for (const bool hangs : {true, false}) {
    const LoopbackServer server([&](const ServedRequest& request) {
      ServedReply reply = file_reply(request, body);
      reply.hangs = hangs;
      reply.drip = std::chrono::milliseconds(20);
      return reply;
    });
    HubRequest request = request_to(server);
    request.stall_timeout = std::chrono::seconds(1);
    request.n_attempts_max = 2;
    const Error error = error_of(request);
    EXPECT_EQ(error.kind(), ErrorKind::kStorage);
    EXPECT_THAT(error.what(), HasSubstr("gave up after 2 attempts"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(Hub, HeadersAndErrorPagesWithoutEndAreGivenUp) {
  const std::string body = content();
  for (const bool is_in_headers : {true, false}) {
    const LoopbackServer server([&](const ServedRequest& request) {
      ServedReply reply = file_reply(request, body);
      if (request.method == "HEAD" && !is_in_headers) return reply;
      reply.has_endless_headers = is_in_headers;
      reply.has_endless_body = !is_in_headers;
      reply.status = is_in_headers ? 200 : 500;
      return reply;
    });
    HubRequest request = request_to(server);
    request.n_attempts_max = 2;
    EXPECT_THAT(error_of(request).what(), HasSubstr("gave up after 2 attempts"));
  }
}

// A body without end is not written to the disk, nor kept in memory.
TEST_F(Hub, ABodyFarBeyondTheAnnouncedSizeCostsNeitherDiskNorMemory) {
  const LoopbackServer server([&](const ServedRequest&) {
    ServedReply reply;
    reply.headers = {{"X-Linked-Etag", '"' + sha256_hex("ten bytes!") + '"'},
                     {"X-Linked-Size", "10"}};
    reply.body = std::string(size_t{64} << 20, 'x');
    return reply;
  });
  EXPECT_EQ(error_of(request_to(server)).kind(), ErrorKind::kBadModel);
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(Hub, DamagedNotesAreNoObstacle) {
  const std::string body = content();
  const LoopbackServer server(
      [&](const ServedRequest& request) { return file_reply(request, body); });
  pull(request_to(server));
  for (const char* notes : {"", "{", "[1]", R"({"etag": 5, "sha256": [], "size_bytes": {}})"}) {
    std::ofstream(folder_.path() / "owner/repo/file.gguf.json") << notes;
    EXPECT_EQ(pull(request_to(server)).sha256, sha256_hex(body));
  }
}

TEST(HubUrl, PartsAreReadWithFoldersAndRevisions) {
  const HubAddress plain = parse_hub_url("hf://owner/repo/file.gguf");
  EXPECT_EQ(plain.owner, "owner");
  EXPECT_EQ(plain.repo, "repo");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.file, "file.gguf");
  const HubAddress deep = parse_hub_url("hf://owner/repo@v1.0/folder/file.gguf");
  EXPECT_EQ(deep.repo, "repo");
  EXPECT_EQ(deep.revision, "v1.0");
  EXPECT_EQ(deep.file, "folder/file.gguf");
}

TEST(HubUrl, WhatIsNoHubUrlOrLeavesTheFolderIsRefused) {
  for (const char* url :
       {"", "file.gguf", "https://x/y/z", "hf://", "hf://owner/repo", "hf://owner/repo/",
        "hf://owner//file", "hf://../repo/file", "hf://owner/../file", "hf://owner/repo/../file",
        "hf://owner/repo/a/../../b", "hf://owner/repo/./b", "hf://owner/repo@/f",
        "hf://owner/repo/a b", "hf://owner/repo/a?b", "hf://owner/repo/a\nb"}) {
    try {
      parse_hub_url(url);
      ADD_FAILURE() << url;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
}

TEST_F(Hub, EndpointsAndTokensThatCannotBeSentAreRefused) {
  const LoopbackServer server([](const ServedRequest&) { return ServedReply(); });
  for (const char* endpoint : {"", "ftp://host", "http://user:secret@host", "host"}) {
    HubRequest request = request_to(server);
    request.endpoint = endpoint;
    EXPECT_EQ(error_of(request).kind(), ErrorKind::kUsage) << endpoint;
  }
  HubRequest request = request_to(server);
  request.token = "hf_a\r\nX-Evil: 1";
  EXPECT_EQ(error_of(request).kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace ebb::model
