#include "dataplane/balance/slow_start.hpp"

#include <gtest/gtest.h>

namespace lb::balance {
namespace {

TEST(SlowStart, GoesFromATenthToAllInAStraightLine) {
  EXPECT_EQ(slow_start_share(0, 30), 100);
  EXPECT_EQ(slow_start_share(10'000, 30), 400);
  EXPECT_EQ(slow_start_share(15'000, 30), 550);
  EXPECT_EQ(slow_start_share(29'999, 30), 999);
  EXPECT_EQ(slow_start_share(30'000, 30), 1000);
  EXPECT_EQ(slow_start_share(UINT64_MAX, 30), 1000);
}

TEST(SlowStart, OffMeansAllAtOnce) { EXPECT_EQ(slow_start_share(0, 0), 1000); }

TEST(SlowStart, NeverFallsBack) {
  uint16_t before = 0;
  for (uint64_t ms = 0; ms <= 7000; ++ms) {
    const uint16_t now = slow_start_share(ms, 7);
    ASSERT_GE(now, before);
    before = now;
  }
}

TEST(SlowStart, TakesTheLongestTimes) {
  const uint64_t half = uint64_t{UINT32_MAX} * 500;
  EXPECT_EQ(slow_start_share(half, UINT32_MAX), 550);
}

}  // namespace
}  // namespace lb::balance
