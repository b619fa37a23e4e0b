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

TEST(TimerWheel, FiresADeadlineThatHasPassedAtTheNextTick) {
  TimerWheel wheel(1000);
  TimerEntry entry;
  wheel.arm(entry, 10);
  EXPECT_EQ(wheel.expire(1010).size(), 1U);
}

}  // namespace
}  // namespace lb::proxy
