// What is told once, and again after a while.
#include "dataplane/proxy/told_reasons.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace lb::proxy {
namespace {

constexpr uint64_t kAtFirst = 1'000'000;

TEST(ToldReasons, EachIsNewsOnceAnHour) {
  ToldReasons told;
  EXPECT_TRUE(told.is_news("expired", kAtFirst));
  EXPECT_TRUE(told.is_news("mismatch", kAtFirst));
  EXPECT_FALSE(told.is_news("expired", kAtFirst + ToldReasons::kAgainMs - 1));
  EXPECT_FALSE(told.is_news("mismatch", kAtFirst + 1));
  EXPECT_TRUE(told.is_news("expired", kAtFirst + ToldReasons::kAgainMs));
  EXPECT_FALSE(told.is_news("expired", kAtFirst + ToldReasons::kAgainMs + 1));
}

TEST(ToldReasons, GoesByTheWordsNotByWhereTheyStand) {
  const std::string one = "expired", other = "expired";
  ToldReasons told;
  EXPECT_TRUE(told.is_news(one.c_str(), kAtFirst));
  EXPECT_FALSE(told.is_news(other.c_str(), kAtFirst));
}

TEST(ToldReasons, RemembersSoManyAndIsSilentAboutMore) {
  std::vector<std::string> reasons;
  for (size_t i = 0; i <= ToldReasons::kMost; ++i) reasons.push_back(std::to_string(i));
  ToldReasons told;
  for (size_t i = 0; i < ToldReasons::kMost; ++i) {
    EXPECT_TRUE(told.is_news(reasons[i].c_str(), kAtFirst));
  }
  EXPECT_FALSE(told.is_news(reasons.back().c_str(), kAtFirst));
}

TEST(ToldReasons, IsToldByOneOfSeveralThreads) {
  for (int round = 0; round < 100; ++round) {
    ToldReasons told;
    std::atomic<int> news{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { news += told.is_news("expired", kAtFirst) ? 1 : 0; });
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(news, 1);
  }
}

}  // namespace
}  // namespace lb::proxy
