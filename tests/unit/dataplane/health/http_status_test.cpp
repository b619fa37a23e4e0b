#include "dataplane/health/http_status.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/dataplane/health/builders.hpp"

namespace lb::health {
namespace {

std::optional<ProbeResult> judged(uint16_t expected, const std::string& answer) {
  HttpStatus status(expected);
  return status.feed(answer);
}

std::string reason(const std::string& answer) {
  const auto result = judged(200, answer);
  return result ? result->reason : "more";
}

std::string request(HealthPolicy policy) {
  return http_request(check_of(endpoint("192.0.2.1:8080"), policy));
}

TEST(HttpRequest, AsksForThePathAndNamesTheEndpoint) {
  EXPECT_EQ(request(http_policy("/health?full=1")),
            "GET /health?full=1 HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n"
            "User-Agent: empalme-health\r\nConnection: close\r\n\r\n");
}

TEST(HttpRequest, NamesTheHostOfThePolicy) {
  HealthPolicy policy = http_policy();
  policy.host = "example.com";
  EXPECT_NE(request(policy).find("\r\nHost: example.com\r\n"), std::string::npos);
}

TEST(HttpRequest, PutsAnIpv6EndpointInBrackets) {
  const auto text = http_request(check_of(endpoint("[2001:db8::1]:80"), http_policy()));
  EXPECT_NE(text.find("\r\nHost: [2001:db8::1]:80\r\n"), std::string::npos);
}

TEST(HttpRequest, BeginsAPathWithASlash) {
  EXPECT_TRUE(request(http_policy("health")).starts_with("GET /health HTTP/1.1\r\n"));
  EXPECT_TRUE(request(http_policy("")).starts_with("GET / HTTP/1.1\r\n"));
}

TEST(HttpRequest, LetsNoPolicySmuggleInALine) {
  HealthPolicy policy = http_policy("/a b\r\nX: y");
  policy.host = "h\r\nZ: y";
  const auto text = request(policy);
  EXPECT_TRUE(text.starts_with("GET /a%20b%0D%0AX:%20y HTTP/1.1\r\n")) << text;
  EXPECT_NE(text.find("Host: h%0D%0AZ:%20y\r\n"), std::string::npos) << text;
}

TEST(StatusLine, GivesTheStatus) {
  EXPECT_EQ(parse_status_line("HTTP/1.1 200 OK"), 200);
  EXPECT_EQ(parse_status_line("HTTP/1.0 503 Service Unavailable"), 503);
}

TEST(StatusLine, NeedsNoReasonPhrase) {
  EXPECT_EQ(parse_status_line("HTTP/1.1 204 "), 204);
  EXPECT_EQ(parse_status_line("HTTP/1.1 204"), 204);
}

TEST(StatusLine, IsNothingElse) {
  for (const char* line :
       {"", "HTTP/1.1", "HTTP/1.1 20", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "http/1.1 200 OK",
        "HTTP/2.0 200 OK", "HTTP/1.x 200 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 2x0 OK",
        "HTTP/1.1 200OK", "HTTP/1.1 099 OK", " HTTP/1.1 200 OK", "HTTP/1.1 200 a\rb",
        "HTTP/1.1 200 a\x01", "HTTP/1.1 +20 OK", "HTTP/1.11 200 OK"}) {
    EXPECT_EQ(parse_status_line(line), std::nullopt) << line;
  }
}

TEST(HttpStatus, IsContentWithTheExpectedStatus) {
  EXPECT_EQ(judged(204, "HTTP/1.1 204 No Content\r\n"), ProbeResult{});
}

TEST(HttpStatus, NamesAnyOtherStatus) {
  EXPECT_EQ(judged(200, "HTTP/1.1 503 Down\r\n"),
            (ProbeResult{Outcome::kFailure, "HttpStatus: 503"}));
}

TEST(HttpStatus, WaitsForTheEndOfTheLine) {
  EXPECT_EQ(reason("HTTP/1.1 200 OK"), "more");
  EXPECT_EQ(reason("HTTP/1.1 200 OK\r"), "more");
}

TEST(HttpStatus, SeesAtTheFirstBytesThatItIsNotHttp) {
  EXPECT_EQ(reason("SSH-2.0-OpenSSH_9.2"), "HttpMalformed");
  EXPECT_EQ(reason("HTTP/2"), "HttpMalformed");
}

TEST(HttpStatus, RefusesALineThatIsNoStatusLine) {
  EXPECT_EQ(reason("HTTP/1.1 2x0 OK\r\n"), "HttpMalformed");
}

TEST(HttpStatus, TakesALoneLineFeedForPartOfTheLine) {
  EXPECT_EQ(reason("HTTP/1.1 200 OK\n\r\n"), "HttpMalformed");
}

TEST(HttpStatus, SkipsInterimAnswers) {
  const std::string interim =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Go\r\n\r\n";
  EXPECT_EQ(judged(200, interim), std::nullopt);
  EXPECT_EQ(judged(200, interim + "HTTP/1.1 200 OK\r\n"), ProbeResult{});
  EXPECT_EQ(reason(interim + "HTTP/1.1 500 Bad\r\n"), "HttpStatus: 500");
  EXPECT_EQ(reason(interim + "garbage"), "HttpMalformed");
}

TEST(HttpStatus, IsContentWithAnInterimAnswerThatIsExpected) {
  EXPECT_EQ(judged(103, "HTTP/1.1 103 Early Hints\r\n"), ProbeResult{});
}

TEST(HttpStatus, TakesSwitchingProtocolsForAnAnswer) {
  EXPECT_EQ(reason("HTTP/1.1 101 Switching\r\n"), "HttpStatus: 101");
}

TEST(HttpStatus, ReadsNoMoreThanSixteenKibibytes) {
  const std::string endless = "HTTP/1.1 200 " + std::string(Judge::kMaxAnswer, 'a');
  EXPECT_EQ(reason(endless + "\r\n"), "HttpTooLong");
  EXPECT_EQ(reason("HTTP/1.1 100 Go\r\n" + endless + "\r\n\r\n"), "HttpTooLong");
}

TEST(HttpStatus, StillTakesALineThatJustFits) {
  const std::string begin = "HTTP/1.1 200 ";
  const std::string fill(Judge::kMaxAnswer - begin.size() - 2, 'a');
  EXPECT_EQ(judged(200, begin + fill + "\r\n"), ProbeResult{});
  EXPECT_EQ(reason(begin + fill + "a\r\n"), "HttpTooLong");
}

TEST(HttpStatus, CallsAnEndWithoutAStatusClosed) {
  EXPECT_EQ(HttpStatus(200).at_end(), (ProbeResult{Outcome::kFailure, "Closed"}));
}

std::string random_answer(std::mt19937& random) {
  static const std::vector<std::string> kParts{
      "HTTP/1.1 ", "HTTP/1.0 ", "200", "503", "100", "103",  " OK",     "\r\n",
      "\r\n\r\n",  "\r",        "\n",  "x",   " ",   "A: b", "HTTP/1.", "HTTP/1.1 100 Go\r\n\r\n"};
  std::string out = random() % 2 ? "HTTP/1.1 " : "";
  for (uint32_t left = random() % 12; left > 0; --left) out += kParts[random() % kParts.size()];
  return out;
}

TEST(HttpStatus, FindsTheSameHoweverTheAnswerIsCut) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 5000; ++round) {
    const std::string answer = random_answer(random);
    HttpStatus cut(200);
    std::optional<ProbeResult> found;
    for (size_t at = 0; at < answer.size() && !found;) {
      const size_t size = 1 + random() % 7;
      found = cut.feed(std::string_view(answer).substr(at, size));
      at += size;
    }
    ASSERT_EQ(found, answer.empty() ? std::nullopt : judged(200, answer)) << answer;
  }
}

}  // namespace
}  // namespace lb::health
