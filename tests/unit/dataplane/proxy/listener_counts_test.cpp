// The limit of a listener holds whichever workers ask at once.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {
namespace {

TEST(ListenerCounts, LetInAsManyAsMay) {
  ListenerCounts counts;
  EXPECT_TRUE(counts.enter(2));
  EXPECT_TRUE(counts.enter(2));
  EXPECT_FALSE(counts.enter(2));
  EXPECT_TRUE(counts.enter(0)) << "no limit";
  counts.leave();
  counts.leave();
  EXPECT_TRUE(counts.enter(2));
  EXPECT_EQ(counts.connections, 2U);
}

TEST(ListenerCounts, WhoIsStillBeingServedTakesAPlace) {
  ListenerCounts counts;
  counts.lingering = 1;
  EXPECT_FALSE(counts.enter(1));
  EXPECT_TRUE(counts.enter(2));
}

TEST(ListenerCounts, ThreadsTogetherNeverPassTheLimit) {
  constexpr uint32_t kMost = 3;
  ListenerCounts counts;
  std::atomic<uint64_t> inside{0}, worst{0}, entered{0};
  const auto come_and_go = [&] {
    for (int i = 0; i < 20'000; ++i) {
      if (!counts.enter(kMost)) continue;
      const uint64_t now = ++inside;
      uint64_t seen = worst;
      while (now > seen && !worst.compare_exchange_weak(seen, now)) {
      }
      ++entered;
      --inside;
      counts.leave();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(come_and_go);
  for (auto& thread : threads) thread.join();
  EXPECT_LE(worst, kMost);
  EXPECT_GT(entered, 0U);
  EXPECT_EQ(counts.connections, 0U);
}

TEST(EnteredPlace, IsLeftUnlessItWasHandedOver) {
  ListenerCounts counts;
  {
    ASSERT_TRUE(counts.enter(1));
    const EnteredPlace place(counts);
  }
  EXPECT_EQ(counts.connections, 0U);
  {
    ASSERT_TRUE(counts.enter(1));
    EnteredPlace place(counts);
    place.hand_over();
  }
  EXPECT_EQ(counts.connections, 1U);
}

}  // namespace
}  // namespace lb::proxy
