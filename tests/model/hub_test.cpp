// Pulling files from a hub on loopback: what arrives, what is resumed, what is refused.
#include "model/hub_fixture.h"

namespace ebb::model {
namespace {

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

}  // namespace
}  // namespace ebb::model
