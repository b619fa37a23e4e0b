#include "dataplane/health/expect_match.hpp"

#include <gtest/gtest.h>

#include <random>

namespace lb::health {
namespace {

const ProbeResult kNoMatch{Outcome::kFailure, "NoMatch"};

TEST(ExpectMatch, FindsTheTextAnywhere) {
  EXPECT_EQ(ExpectMatch("PONG").feed("+PONG\r\n"), ProbeResult{});
}

TEST(ExpectMatch, WaitsForMoreWithoutIt) {
  EXPECT_EQ(ExpectMatch("PONG").feed("-LOADING\r\n"), std::nullopt);
}

TEST(ExpectMatch, FindsATextThatIsCutInTwo) {
  ExpectMatch match("PONG");
  EXPECT_EQ(match.feed("+PO"), std::nullopt);
  EXPECT_EQ(match.feed("NG"), ProbeResult{});
}

TEST(ExpectMatch, FindsATextInSingleBytes) {
  ExpectMatch match("220 ready");
  const std::string answer = "22220 ready";
  for (size_t i = 0; i + 1 < answer.size(); ++i) {
    ASSERT_EQ(match.feed(answer.substr(i, 1)), std::nullopt) << i;
  }
  EXPECT_EQ(match.feed("y"), ProbeResult{});
}

TEST(ExpectMatch, IsContentWithAnyByteWhenNothingIsExpected) {
  EXPECT_EQ(ExpectMatch("").feed("x"), ProbeResult{});
}

TEST(ExpectMatch, TakesZeroBytesForData) {
  EXPECT_EQ(ExpectMatch(std::string("a\0b", 3)).feed(std::string("xa\0by", 5)), ProbeResult{});
}

TEST(ExpectMatch, GivesUpAfterSixteenKibibytes) {
  ExpectMatch match("PONG");
  EXPECT_EQ(match.feed(std::string(Judge::kMaxAnswer - 1, 'x')), std::nullopt);
  EXPECT_EQ(match.feed("xPONG"), kNoMatch);
}

TEST(ExpectMatch, StillFindsATextThatJustFits) {
  ExpectMatch match("PONG");
  EXPECT_EQ(match.feed(std::string(Judge::kMaxAnswer - 4, 'x')), std::nullopt);
  EXPECT_EQ(match.feed("PONG"), ProbeResult{});
}

TEST(ExpectMatch, HasNoMatchWhenTheTargetEnds) { EXPECT_EQ(ExpectMatch("a").at_end(), kNoMatch); }

TEST(ExpectMatch, FindsTheSameHoweverTheAnswerIsCut) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto text = [&](size_t size) {
    std::string out;
    for (size_t i = 0; i < size; ++i) out += random() % 2 ? 'a' : 'b';
    return out;
  };
  for (int round = 0; round < 5000; ++round) {
    const std::string wanted = text(1 + random() % 6);
    const std::string answer = text(1 + random() % 40);
    ExpectMatch match(wanted);
    std::optional<ProbeResult> found;
    for (size_t at = 0; at < answer.size() && !found;) {
      const size_t size = 1 + random() % 5;
      found = match.feed(answer.substr(at, size));
      at += size;
    }
    ASSERT_EQ(found.has_value(), answer.find(wanted) != std::string::npos) << wanted << answer;
  }
}

}  // namespace
}  // namespace lb::health
