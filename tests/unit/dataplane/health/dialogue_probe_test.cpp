#include "dataplane/health/dialogue_probe.hpp"

#include <memory>

#include "tests/unit/dataplane/health/full_listener.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {
namespace {

using test::FakeTarget;
using HttpProbeTest = ProbeTest;
using SendExpectProbeTest = ProbeTest;

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> out;
  for (const char c : text) out.emplace_back(1, c);
  return out;
}

HealthPolicy quick(HealthPolicy policy) {
  policy.timeout_ms = 60;
  return policy;
}

const ProbeResult kTimeout{Outcome::kTimeout, "Timeout"};

TEST_F(HttpProbeTest, SucceedsWithTheExpectedStatus) {
  FakeTarget target(io_, test::answer({"HTTP/1.1 200 OK\r\n\r\n"}));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), ProbeResult{});
}

TEST_F(HttpProbeTest, SendsTheWholeRequest) {
  const auto heard = std::make_shared<std::string>();
  FakeTarget target(io_, test::answer({"HTTP/1.1 200 OK\r\n\r\n"}, heard));
  probe(target.endpoint(), http_policy("/health"));
  EXPECT_TRUE(heard->starts_with("GET /health HTTP/1.1\r\nHost: " + target.endpoint().to_string()))
      << *heard;
  EXPECT_TRUE(heard->ends_with("\r\n\r\n")) << *heard;
}

TEST_F(HttpProbeTest, NamesAWrongStatus) {
  FakeTarget target(io_, test::answer({"HTTP/1.1 503 Service Unavailable\r\n\r\n"}));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), failure("HttpStatus: 503"));
}

TEST_F(HttpProbeTest, SucceedsWithAStatusInSingleBytes) {
  FakeTarget target(io_, test::answer(bytes_of("HTTP/1.1 200 OK\r\n")));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), ProbeResult{});
}

TEST_F(HttpProbeTest, SucceedsThoughTheTargetClosesAtOnce) {
  FakeTarget target(io_, test::answer_and_close("HTTP/1.0 200 OK\r\n\r\nfine"));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), ProbeResult{});
}

TEST_F(HttpProbeTest, TimesOutWithoutAnAnswer) {
  FakeTarget target(io_, test::stay_silent());
  EXPECT_EQ(probe(target.endpoint(), quick(http_policy())), kTimeout);
}

TEST_F(HttpProbeTest, TimesOutInTheMiddleOfAnAnswer) {
  FakeTarget target(io_, test::answer({"HTTP/1.1 200"}));
  EXPECT_EQ(probe(target.endpoint(), quick(http_policy())), kTimeout);
}

TEST_F(HttpProbeTest, GivesUpOnAnOversizeAnswer) {
  FakeTarget target(io_, test::answer({"HTTP/1.1 200 " + std::string(100'000, 'a')}));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), failure("HttpTooLong"));
}

TEST_F(HttpProbeTest, SeesThatTheTargetSpeaksSomethingElse) {
  FakeTarget target(io_, test::say({"220 mail.example.com ESMTP\r\n"}));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), failure("HttpMalformed"));
}

TEST_F(HttpProbeTest, SaysThatTheTargetClosedWithoutAnAnswer) {
  FakeTarget target(io_, test::answer_and_close(""));
  EXPECT_EQ(probe(target.endpoint(), http_policy()), failure("Closed"));
}

TEST_F(HttpProbeTest, SaysThatTheTargetReset) {
  FakeTarget target(io_, [](const test::Connection& connection) {
    connection->set_option(asio::socket_base::linger(true, 0));
  });
  EXPECT_EQ(probe(target.endpoint(), http_policy()), failure("Reset"));
}

TEST_F(HttpProbeTest, CallsAMissingConnectionAConnectTimeout) {
  const FullListener black_hole;
  EXPECT_EQ(probe(black_hole.endpoint(), quick(http_policy())),
            (ProbeResult{Outcome::kTimeout, "ConnectTimeout"}));
}

TEST_F(SendExpectProbeTest, SucceedsWhenTheAnswerHoldsTheText) {
  const auto heard = std::make_shared<std::string>();
  FakeTarget target(io_, test::answer({"+PONG\r\n"}, heard));
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("PING\r\n", "PONG")), ProbeResult{});
  EXPECT_EQ(*heard, "PING\r\n");
}

TEST_F(SendExpectProbeTest, NeedsNothingToSend) {
  FakeTarget target(io_, test::say({"220 ready\r\n"}));
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("", "220 ")), ProbeResult{});
}

TEST_F(SendExpectProbeTest, FindsATextThatIsSplitOverTwoSegments) {
  FakeTarget target(io_, test::answer({"+PO", "NG\r\n"}));
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("PING\r\n", "PONG")), ProbeResult{});
}

TEST_F(SendExpectProbeTest, IsContentWithAnyByteWhenNothingIsExpected) {
  FakeTarget target(io_, test::say({"?"}));
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("", "")), ProbeResult{});
}

TEST_F(SendExpectProbeTest, WaitsForAByteEvenWhenNothingIsExpected) {
  FakeTarget target(io_, test::stay_silent());
  EXPECT_EQ(probe(target.endpoint(), quick(send_expect_policy("", ""))), kTimeout);
}

TEST_F(SendExpectProbeTest, HasNoMatchWhenTheTargetEndsWithoutIt) {
  FakeTarget target(io_, test::answer_and_close("-ERR\r\n"));
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("PING\r\n", "PONG")), failure("NoMatch"));
}

TEST_F(SendExpectProbeTest, HasNoMatchInTheFirstSixteenKibibytes) {
  FakeTarget target(io_, test::answer({std::string(20'000, 'x') + "PONG"}));
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("PING\r\n", "PONG")), failure("NoMatch"));
}

TEST_F(SendExpectProbeTest, TimesOutWhenTheTextDoesNotCome) {
  FakeTarget target(io_, test::answer({"-LOADING\r\n"}));
  EXPECT_EQ(probe(target.endpoint(), quick(send_expect_policy("PING\r\n", "PONG"))), kTimeout);
}

TEST_F(SendExpectProbeTest, SendsMoreThanASocketHoldsAtOnce) {
  const size_t size = 8 * 1024 * 1024;
  size_t received = 0;
  auto buffer = std::make_shared<std::vector<char>>(65536);
  std::function<void(const test::Connection&)> read = [&](const test::Connection& connection) {
    connection->async_read_some(asio::buffer(*buffer),
                                [&, connection](const auto& error, size_t count) {
                                  if (error) return;
                                  received += count;
                                  if (received == size) return test::say({"done"})(connection);
                                  read(connection);
                                });
  };
  FakeTarget target(io_, read);
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy(std::string(size, 'x'), "done")),
            ProbeResult{});
}

}  // namespace
}  // namespace lb::health
