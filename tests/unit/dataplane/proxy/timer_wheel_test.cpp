#include "dataplane/proxy/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace lb::proxy {
namespace {

std::vector<TimerEntry*> expire(TimerWheel& wheel, uint64_t now_ms) {
  std::vector<TimerEntry*> out;
  wheel.expire(now_ms, [&](TimerEntry& entry) { out.push_back(&entry); });
  return out;
}

TEST(TimerWheel, FiresAtTheDeadlineAndNotBefore) {
  TimerWheel wheel(1000);
  TimerEntry entry;
  wheel.arm(entry, 1100);
  EXPECT_TRUE(expire(wheel, 1090).empty());
  EXPECT_EQ(expire(wheel, 1100), std::vector<TimerEntry*>{&entry});
  EXPECT_FALSE(entry.armed());
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, KeepsDeadlinesOfLaterTurns) {
  TimerWheel wheel(0);
  TimerEntry entry;
  const uint64_t turn = TimerWheel::kGrainMs * TimerWheel::kSlots;
  wheel.arm(entry, turn + 50);
  EXPECT_TRUE(expire(wheel, 60).empty());
  EXPECT_EQ(expire(wheel, turn + 60).size(), 1U);
}

TEST(TimerWheel, ForgetsACancelledEntry) {
  TimerWheel wheel(0);
  TimerEntry entry;
  wheel.arm(entry, 50);
  wheel.cancel(entry);
  EXPECT_TRUE(expire(wheel, 1000).empty());
}

TEST(TimerWheel, MovesAnEntryThatIsArmedAgain) {
  TimerWheel wheel(0);
  TimerEntry entry;
  wheel.arm(entry, 50);
  wheel.arm(entry, 200);
  EXPECT_TRUE(expire(wheel, 100).empty());
  EXPECT_EQ(expire(wheel, 200).size(), 1U);
}

TEST(TimerWheel, MissesNothingAfterALongSleep) {
  TimerWheel wheel(0);
  std::vector<TimerEntry> entries(1000);
  for (size_t i = 0; i < entries.size(); ++i) wheel.arm(entries[i], i * 7);
  EXPECT_EQ(expire(wheel, 1'000'000).size(), entries.size());
}

TEST(TimerWheel, NeedsNoCallBeforeTheNextDeadline) {
  TimerWheel wheel(0);
  TimerEntry soon, later;
  EXPECT_EQ(wheel.wake_at(), UINT64_MAX);
  wheel.arm(later, 3000);
  EXPECT_EQ(wheel.wake_at(), 3000U);
  wheel.arm(soon, 100);
  EXPECT_EQ(wheel.wake_at(), 100U);
  EXPECT_EQ(expire(wheel, wheel.wake_at()).size(), 1U);
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
    due = expire(wheel, now = wheel.wake_at());
  EXPECT_EQ(due.size(), 1U);
  EXPECT_LT(calls, 1'000'000 / (TimerWheel::kGrainMs * TimerWheel::kSlots) + 3);
}

TEST(TimerWheel, FiresADeadlineThatHasPassedAtTheNextTick) {
  TimerWheel wheel(1000);
  TimerEntry entry;
  wheel.arm(entry, 10);
  EXPECT_EQ(expire(wheel, 1010).size(), 1U);
}

}  // namespace
}  // namespace lb::proxy
