#include "eval/judge_openai.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform.h"
#include "eval/hostile_server.h"
#include "eval/judge_answer.h"

namespace ebb::eval {
namespace {

using ebb::testing::Connection;
using ebb::testing::HostileServer;
using Clock = std::chrono::steady_clock;

constexpr const char* kKey = "sk-secret-key-12345";
const JudgeQuestion kQuestion{"Use no commas.", "How are you?", "Fine."};

std::string completion(const std::string& content, const std::string& model = "m1") {
  return nlohmann::json{{"model", model},
                        {"choices", {{{"message", {{"role", "assistant"}, {"content", content}}}}}}}
      .dump();
}

const std::string kYes = R"({"obeyed": true, "evidence": "no comma"})";

OpenAiOptions options(const HostileServer& server) {
  OpenAiOptions options;
  options.base_url = server.url();
  options.model = "m1";
  options.key = kKey;
  options.total_timeout = std::chrono::milliseconds(400);
  options.stall_timeout = std::chrono::seconds(5);
  options.n_attempts_max = 2;
  options.first_wait = std::chrono::milliseconds(1);
  options.wait_max = std::chrono::milliseconds(20);
  return options;
}

// The verdict that a study would get, after checking that the key is nowhere in it.
JudgeVerdict ask(OpenAiJudge& judge) {
  const JudgeVerdict verdict = ask_judge(judge, kQuestion, JudgeScale::kBinary);
  EXPECT_EQ(verdict.detail.find(kKey), std::string::npos) << verdict.detail;
  EXPECT_EQ(judge.name().find(kKey), std::string::npos);
  return verdict;
}

// What a server that always behaves like this leads to: pending, with the reason.
void expect_pending(const HostileServer::Handler& handler, const std::string& reason,
                    size_t n_requests) {
  const HostileServer server(handler);
  OpenAiJudge judge(options(server));
  const JudgeVerdict verdict = ask(judge);
  EXPECT_FALSE(verdict.score);
  EXPECT_NE(verdict.detail.find(reason), std::string::npos) << verdict.detail;
  EXPECT_EQ(server.requests().size(), n_requests);
}

TEST(JudgeOnAServer, SendsTheQuestionAndReadsTheVerdict) {
  const HostileServer server([](const Connection& connection, const std::string&, size_t) {
    connection.reply(200, completion(kYes));
  });
  OpenAiJudge judge(options(server));
  const JudgeVerdict verdict = ask(judge);
  EXPECT_EQ(verdict.score, 1.0);
  EXPECT_EQ(verdict.detail, "no comma");
  const std::string request = server.requests().at(0);
  EXPECT_EQ(request.rfind("POST /v1/chat/completions ", 0), 0U);
  EXPECT_NE(request.find(std::string("Authorization: Bearer ") + kKey), std::string::npos);
  const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_EQ(body["model"], "m1");
  EXPECT_EQ(body["messages"][1]["role"], "user");
  const auto schema = body["response_format"]["json_schema"]["schema"];
  EXPECT_EQ(schema["properties"]["obeyed"]["type"], "boolean");
  EXPECT_EQ(schema["required"], nlohmann::json::parse(R"(["obeyed", "evidence"])"));
}

TEST(JudgeOnAServer, TriesAgainAfter429And500) {
  for (const int status : {429, 500, 503, 408}) {
    const HostileServer server([&](const Connection& connection, const std::string&, size_t n) {
      n == 0 ? connection.reply(status, "busy") : connection.reply(200, completion(kYes));
    });
    OpenAiJudge judge(options(server));
    EXPECT_EQ(ask(judge).score, 1.0) << status;
  }
}

TEST(JudgeOnAServer, StaysPendingWhere429Or500DoesNotEnd) {
  for (const int status : {429, 500}) {
    expect_pending([&](const Connection& connection, const std::string&,
                       size_t) { connection.reply(status, "busy"); },
                   "answered " + std::to_string(status) + " (2 attempts)", 2);
  }
}

TEST(JudgeOnAServer, WaitsAsLongAsRetryAfterSaysButNotLonger) {
  const HostileServer server([](const Connection& connection, const std::string&, size_t n) {
    n == 0 ? connection.reply(429, "", "Retry-After: 3600\r\n")
           : connection.reply(200, completion(kYes));
  });
  OpenAiOptions slow = options(server);
  slow.wait_max = std::chrono::milliseconds(300);
  OpenAiJudge judge(slow);
  const auto begin = Clock::now();
  EXPECT_EQ(ask(judge).score, 1.0);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(300));
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
}

TEST(JudgeOnAServer, ReadsRetryAfterAsSecondsOrDate) {
  EXPECT_EQ(wait_from_header("7"), std::chrono::seconds(7));
  EXPECT_EQ(wait_from_header(""), std::chrono::seconds(0));
  EXPECT_EQ(wait_from_header("soon"), std::chrono::seconds(0));
  EXPECT_EQ(wait_from_header("-5"), std::chrono::seconds(0));
  EXPECT_EQ(wait_from_header("Wed, 21 Oct 2015 07:28:00 GMT"), std::chrono::seconds(0));
  EXPECT_EQ(wait_from_header("99999999999999999999"), std::chrono::seconds(0));
  const std::time_t later = std::time(nullptr) + 100;
  char date[64];
  std::strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&later));
  EXPECT_GE(wait_from_header(date), std::chrono::seconds(98));
  EXPECT_LE(wait_from_header(date), std::chrono::seconds(100));
}

TEST(JudgeOnAServer, GivesUpOnAServerThatHangs) {
  const auto begin = Clock::now();
  expect_pending(
      [](const Connection& connection, const std::string&, size_t) { connection.hang(); },
      "(2 attempts)", 2);
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(3));
}

TEST(JudgeOnAServer, GivesUpOnASlowDrip) {
  const auto begin = Clock::now();
  expect_pending(
      [](const Connection& connection, const std::string&, size_t) {
        connection.send("HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n");
        while (connection.send(" ")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      },
      "(2 attempts)", 2);
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(3));
}

TEST(JudgeOnAServer, SurvivesAReset) {
  expect_pending(
      [](const Connection& connection, const std::string&, size_t) { connection.reset(); },
      "(2 attempts)", 2);
}

TEST(JudgeOnAServer, TakesNoVerdictFromATruncatedBody) {
  expect_pending(
      [](const Connection& connection, const std::string&, size_t) {
        // All of a valid answer, but the server has promised more.
        connection.send("HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n" + completion(kYes));
      },
      "(2 attempts)", 2);
  expect_pending(
      [](const Connection& connection, const std::string&, size_t) {
        connection.send("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" +
                        completion(kYes));
      },
      "(2 attempts)", 2);
}

TEST(JudgeOnAServer, TakesNoVerdictFromWrongJson) {
  const std::vector<std::string> bodies = {"",
                                           "nonsense",
                                           "[]",
                                           "{}",
                                           R"({"choices": []})",
                                           R"({"choices": [{"message": null}]})",
                                           R"({"choices": [{"message": {"content": 7}}]})",
                                           R"({"obeyed": true, "evidence": ""})",
                                           "<html>200 but an error page</html>",
                                           std::string(100'000, '['),
                                           completion(kYes).substr(0, completion(kYes).size() - 1)};
  for (const std::string& body : bodies) {
    expect_pending([&](const Connection& connection, const std::string&,
                       size_t) { connection.reply(200, body); },
                   "expected a completion", 1);
  }
}

TEST(JudgeOnAServer, AsksOnceMoreAfterAnAnswerThatIsNoVerdict) {
  expect_pending([](const Connection& connection, const std::string&,
                    size_t) { connection.reply(200, completion("I think it does obey.")); },
                 "no valid answer after one repair", 2);
}

TEST(JudgeOnAServer, BoundsTheMemoryOfAHugeBody) {
  const size_t before = platform::peak_resident_bytes();
  expect_pending(
      [](const Connection& connection, const std::string&, size_t) {
        const std::string piece(size_t{1} << 20, ' ');
        connection.send("HTTP/1.1 200 x\r\nContent-Length: 4294967296\r\n\r\n");
        for (int i = 0; i < 4096 && connection.send(piece);) ++i;
      },
      "more than 1048576 bytes", 1);
  EXPECT_LT(platform::peak_resident_bytes() - before, size_t{32} << 20);
}

TEST(JudgeOnAServer, GivesUpOnHeadersWithoutEnd) {
  const size_t before = platform::peak_resident_bytes();
  const auto begin = Clock::now();
  const HostileServer server([](const Connection& connection, const std::string&, size_t) {
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += "X-More: yes\r\n";
    connection.send("HTTP/1.1 200 x\r\n");
    while (connection.send(lines)) {
    }
  });
  OpenAiOptions patient = options(server);
  patient.total_timeout = std::chrono::seconds(60);
  OpenAiJudge judge(patient);
  EXPECT_FALSE(ask(judge).score);
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
  EXPECT_LT(platform::peak_resident_bytes() - before, size_t{32} << 20);
}

TEST(JudgeOnAServer, FollowsNoRedirect) {
  const HostileServer thief([](const Connection& connection, const std::string&, size_t) {
    connection.reply(200, completion(kYes));
  });
  for (const int status : {301, 302, 307, 308}) {
    expect_pending(
        [&](const Connection& connection, const std::string&, size_t) {
          connection.reply(status, "", "Location: " + thief.url() + "/chat/completions\r\n");
        },
        "redirect", 1);
  }
  EXPECT_TRUE(thief.requests().empty());
}

TEST(JudgeOnAServer, TakesNoVerdictFromAnotherModel) {
  const HostileServer server([](const Connection& connection, const std::string&, size_t) {
    connection.reply(200, completion(kYes, std::string("cheap-") + kKey));
  });
  OpenAiOptions strict = options(server);
  strict.expected_model = "m1";
  OpenAiJudge judge(strict);
  const JudgeVerdict verdict = ask(judge);
  EXPECT_FALSE(verdict.score);
  EXPECT_NE(verdict.detail.find("cheap-***"), std::string::npos) << verdict.detail;
}

TEST(JudgeOnAServer, BlotsOutAKeyThatTheServerRepeats) {
  const HostileServer server([](const Connection& connection, const std::string&, size_t) {
    connection.reply(200,
                     completion(std::string(R"({"obeyed": true, "evidence": ")") + kKey + R"("})"));
  });
  OpenAiJudge judge(options(server));
  EXPECT_EQ(ask(judge).detail, "***");
  expect_pending([](const Connection& connection, const std::string&,
                    size_t) { connection.reply(401, std::string("bad key ") + kKey); },
                 "answered 401", 1);
}

TEST(JudgeOnAServer, DropsTheSchemaWhereTheServerRefusesIt) {
  const HostileServer server([](const Connection& connection, const std::string& request, size_t) {
    request.find("response_format") != std::string::npos ? connection.reply(400, "unknown field")
                                                         : connection.reply(200, completion(kYes));
  });
  OpenAiJudge judge(options(server));
  EXPECT_EQ(ask(judge).score, 1.0);
  EXPECT_EQ(ask(judge).score, 1.0);
  EXPECT_EQ(server.requests().size(), 3U);
}

TEST(JudgeOnAServer, CanBeInterruptedWhileItWaits) {
  const HostileServer server(
      [](const Connection& connection, const std::string&, size_t) { connection.hang(); });
  OpenAiOptions patient = options(server);
  patient.total_timeout = std::chrono::seconds(30);
  const auto begin = Clock::now();
  patient.is_cancelled = [&] { return Clock::now() - begin > std::chrono::milliseconds(100); };
  OpenAiJudge judge(patient);
  try {
    (void)judge.generate({});
    FAIL() << "not interrupted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted);
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
}

TEST(JudgeOnAServer, SaysWhereNobodyListens) {
  OpenAiOptions nobody;
  {
    const HostileServer gone([](const Connection&, const std::string&, size_t) {});
    nobody = options(gone);
  }
  OpenAiJudge judge(nobody);
  EXPECT_FALSE(ask(judge).score);
}

void expect_usage_error(const OpenAiOptions& options, const std::string& part) {
  try {
    const OpenAiJudge judge(options);
    FAIL() << "no error for " << options.base_url;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << error.what();
  }
}

TEST(JudgeOnAServer, RefusesAddressesAndKeysThatWouldLeak) {
  OpenAiOptions options;
  options.model = "m1";
  options.base_url = "http://me:secret@example.org/v1";
  expect_usage_error(options, "user name");
  options.base_url = "https://example.org/v1?key=secret";
  expect_usage_error(options, "'?'");
  options.base_url = "ftp://example.org";
  expect_usage_error(options, "http or https");
  options.base_url = "http://example.org/v1";
  options.key = "secret";
  expect_usage_error(options, "expected https");
  options.base_url = "http://127.0.0.1.example.org/v1";
  expect_usage_error(options, "expected https");
  options.base_url = "https://example.org/v1";
  options.key = "secret\r\nHost: elsewhere";
  expect_usage_error(options, "control characters");
  options.key = "secret";
  EXPECT_NO_THROW(OpenAiJudge{options});
}

}  // namespace
}  // namespace ebb::eval
