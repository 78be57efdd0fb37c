// Hubs that hang, drip, lie about sizes or are not there, and addresses that make no sense.
#include "model/hub_fixture.h"

namespace ebb::model {
namespace {

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
