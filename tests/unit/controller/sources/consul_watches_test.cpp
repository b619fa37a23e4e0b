// Which service of Consul is asked about when.
#include "controller/sources/consul_watches.hpp"

#include <gmock/gmock.h>

namespace lb::sources {
namespace {

using namespace std::chrono_literals;
using Clock = ConsulWatches::Clock;

constexpr Clock::time_point kNow{std::chrono::hours{1}};

ConsulWatches watches(size_t most, const std::set<std::string>& names) {
  ConsulWatches out({.most = most, .wait = 30s, .round = 5s, .pause = 100ms});
  out.follow(names);
  return out;
}

TEST(ConsulIndex, IsTheOneThatTheAnswerNames) {
  EXPECT_EQ(next_index(0, "7").value(), 7u);
  EXPECT_EQ(next_index(7, "7").value(), 7u);
  EXPECT_EQ(next_index(7, "18446744073709551615").value(), UINT64_MAX);
}

TEST(ConsulIndex, BeginsAtTheFrontWhereItWentBackwards) {
  EXPECT_EQ(next_index(7, "6").value(), 0u);
  EXPECT_EQ(next_index(7, "0").value(), 0u);
}

TEST(ConsulIndex, IsNeverOneThatWouldNotWait) { EXPECT_EQ(next_index(0, "0").value(), 1u); }

TEST(ConsulIndex, IsAnErrorWhereThereIsNone) {
  for (const auto& header : std::vector<std::optional<std::string>>{std::nullopt, "", "x", "-1",
                                                                    "1x", "18446744073709551616"}) {
    EXPECT_EQ(next_index(7, header).error().code, "Protocol");
  }
}

TEST(ConsulWatches, AskAboutEachAtOnceWithoutAnIndex) {
  auto all = watches(4, {"a", "b"});
  const auto first = all.next(kNow), second = all.next(kNow);
  EXPECT_EQ(first->name, "a");
  EXPECT_EQ(first->index, 0u);
  EXPECT_EQ(second->name, "b");
  EXPECT_FALSE(all.next(kNow));
  EXPECT_FALSE(all.due());
  EXPECT_EQ(all.under_way(), 2u);
}

TEST(ConsulWatches, AskNoMoreAtOnceThanTheyMay) {
  auto all = watches(1, {"a", "b"});
  EXPECT_EQ(all.next(kNow)->name, "a");
  EXPECT_FALSE(all.next(kNow));
  EXPECT_FALSE(all.due()) << "an answer decides";
  all.answered("a", 5, kNow);
  EXPECT_EQ(all.next(kNow)->name, "b") << "which has waited longer";
}

TEST(ConsulWatches, GoOnFromTheIndexOfTheAnswerAfterAPause) {
  auto all = watches(4, {"a"});
  all.next(kNow);
  EXPECT_TRUE(all.answered("a", 5, kNow + 10ms));
  EXPECT_EQ(all.due(), kNow + 100ms);
  EXPECT_FALSE(all.next(kNow + 99ms));
  EXPECT_EQ(all.next(kNow + 100ms)->index, 5u);
  all.answered("a", 6, kNow + 10s);
  EXPECT_EQ(all.next(kNow + 10s)->index, 6u) << "one that has waited waits no more";
}

TEST(ConsulWatches, WaitLongWhereEachHasItsOwnAndAShareOfTheRoundElse) {
  EXPECT_EQ(watches(4, {"a", "b", "c", "d"}).next(kNow)->wait, 30s);
  EXPECT_EQ(watches(2, {"a", "b", "c", "d"}).next(kNow)->wait, 2500ms);
  EXPECT_EQ(watches(1, {"a", "b", "c", "d", "e", "f"}).next(kNow)->wait, 833ms);
}

TEST(ConsulWatches, AreWholeOnceEachHasBeenAnswered) {
  auto all = watches(4, {"a", "b"});
  EXPECT_FALSE(all.whole());
  all.next(kNow), all.next(kNow);
  all.answered("a", 5, kNow);
  EXPECT_FALSE(all.whole());
  all.answered("b", 5, kNow);
  EXPECT_TRUE(all.whole());
  all.follow({"a", "b", "c"});
  EXPECT_FALSE(all.whole());
  all.follow({"a", "b"});
  EXPECT_TRUE(all.whole());
  EXPECT_TRUE(watches(4, {}).whole());
}

TEST(ConsulWatches, ForgetWhatIsGoneOnceItsAnswerIsThere) {
  auto all = watches(4, {"a"});
  all.next(kNow);
  all.follow({});
  EXPECT_EQ(all.under_way(), 1u);
  EXPECT_EQ(all.size(), 0u);
  EXPECT_FALSE(all.answered("a", 5, kNow));
  EXPECT_EQ(all.size(), 0u);
  EXPECT_EQ(all.under_way(), 0u);
  EXPECT_TRUE(all.whole());
}

TEST(ConsulWatches, GoOnWithWhatIsBackBeforeItsAnswer) {
  auto all = watches(4, {"a"});
  all.next(kNow);
  all.follow({});
  all.follow({"a"});
  EXPECT_TRUE(all.answered("a", 5, kNow));
  EXPECT_EQ(all.next(kNow + 1s)->index, 5u);
}

TEST(ConsulWatches, BeginAnewWithoutIndexes) {
  auto all = watches(4, {"a"});
  all.next(kNow);
  all.answered("a", 5, kNow);
  all.clear();
  all.follow({"a"});
  EXPECT_FALSE(all.whole());
  EXPECT_EQ(all.next(kNow)->index, 0u);
}

}  // namespace
}  // namespace lb::sources
