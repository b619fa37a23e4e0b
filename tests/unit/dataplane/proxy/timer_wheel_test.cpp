#include "dataplane/proxy/timer_wheel.hpp"

#include <gtest/gtest.h>

namespace lb::proxy {
namespace {

TEST(TimerWheel, FiresAtTheDeadlineAndNotBefore) {
  TimerWheel wheel(1000);
  TimerEntry entry;
  wheel.arm(entry, 1100);
  EXPECT_TRUE(wheel.expire(1090).empty());
  EXPECT_EQ(wheel.expire(1100), std::vector<TimerEntry*>{&entry});
  EXPECT_FALSE(entry.armed());
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, KeepsDeadlinesOfLaterTurns) {
  TimerWheel wheel(0);
  TimerEntry entry;
  const uint64_t turn = TimerWheel::kGrainMs * TimerWheel::kSlots;
  wheel.arm(entry, turn + 50);
  EXPECT_TRUE(wheel.expire(60).empty());
  EXPECT_EQ(wheel.expire(turn + 60).size(), 1U);
}

TEST(TimerWheel, ForgetsACancelledEntry) {
  TimerWheel wheel(0);
  TimerEntry entry;
  wheel.arm(entry, 50);
  wheel.cancel(entry);
  EXPECT_TRUE(wheel.expire(1000).empty());
}

TEST(TimerWheel, MovesAnEntryThatIsArmedAgain) {
  TimerWheel wheel(0);
  TimerEntry entry;
  wheel.arm(entry, 50);
  wheel.arm(entry, 200);
  EXPECT_TRUE(wheel.expire(100).empty());
  EXPECT_EQ(wheel.expire(200).size(), 1U);
}

TEST(TimerWheel, MissesNothingAfterALongSleep) {
  TimerWheel wheel(0);
  std::vector<TimerEntry> entries(1000);
  for (size_t i = 0; i < entries.size(); ++i) wheel.arm(entries[i], i * 7);
  EXPECT_EQ(wheel.expire(1'000'000).size(), entries.size());
}

TEST(TimerWheel, NeedsNoCallBeforeTheNextDeadline) {
  TimerWheel wheel(0);
  TimerEntry soon, later;
  EXPECT_EQ(wheel.wake_at(), UINT64_MAX);
  wheel.arm(later, 3000);
  EXPECT_EQ(wheel.wake_at(), 3000U);
  wheel.arm(soon, 100);
  EXPECT_EQ(wheel.wake_at(), 100U);
  EXPECT_EQ(wheel.expire(wheel.wake_at()).size(), 1U);
  EXPECT_EQ(wheel.wake_at(), 3000U);
  wheel.cancel(later);
  EXPECT_EQ(wheel.wake_at(), UINT64_MAX);
}

TEST(TimerWheel, IsAskedOnceATurnForWhatIsFarAway) {
  TimerWheel wheel(0);
  TimerEntry entry;
  wheel.arm(entry, 1'000'000);
  size_t calls = 0;
  std::vector<TimerEntry*> due;
  for (uint64_t now = 0; due.empty() && calls < 1000; ++calls)
    due = wheel.expire(now = wheel.wake_at());
  EXPECT_EQ(due.size(), 1U);
  EXPECT_LT(calls, 1'000'000 / (TimerWheel::kGrainMs * TimerWheel::kSlots) + 3);
}

TEST(TimerWheel, FiresADeadlineThatHasPassedAtTheNextTick) {
  TimerWheel wheel(1000);
  TimerEntry entry;
  wheel.arm(entry, 10);
  EXPECT_EQ(wheel.expire(1010).size(), 1U);
}

}  // namespace
}  // namespace lb::proxy
