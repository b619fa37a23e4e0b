#include "controller/apply_times.hpp"

#include <gmock/gmock.h>

namespace lb::controller {
namespace {

using namespace std::chrono_literals;

class ApplyTimesTest : public testing::Test {
 protected:
  uint64_t up_to(double bound) const {
    const auto sample = times.histogram();
    for (const auto& [upper, count] : sample.buckets) {
      if (upper == bound) return count;
    }
    ADD_FAILURE() << "no bucket up to " << bound;
    return 0;
  }
  double age() const { return times.age(now).count(); }

  ApplyTimes times;
  ApplyTimes::Time now{1000s};
};

TEST_F(ApplyTimesTest, AChangeCountsFromWhenItWasWantedToItsAcknowledgement) {
  times.changed("a", now);
  times.sent();
  times.acknowledged(now + 40ms);
  EXPECT_EQ(up_to(.025), 0U);
  EXPECT_EQ(up_to(.05), 1U);
  EXPECT_EQ(times.histogram().count, 1U);
  EXPECT_DOUBLE_EQ(times.histogram().sum, .04);
}

TEST_F(ApplyTimesTest, ABoundBelongsToItsBucket) {
  times.changed("a", now);
  times.sent();
  times.acknowledged(now + 1s);
  EXPECT_EQ(up_to(.5), 0U);
  EXPECT_EQ(up_to(1), 1U);
}

TEST_F(ApplyTimesTest, WhatTakesLongerThanAnyBoundIsCountedStill) {
  times.changed("a", now);
  times.sent();
  times.acknowledged(now + 1h);
  EXPECT_EQ(up_to(60), 0U);
  EXPECT_EQ(times.histogram().count, 1U);
}

TEST_F(ApplyTimesTest, AKeyThatChangesTwiceCountsOnceFromItsFirstChange) {
  times.changed("a", now);
  times.changed("a", now + 2s);
  times.sent();
  times.acknowledged(now + 3s);
  EXPECT_EQ(times.histogram().count, 1U);
  EXPECT_DOUBLE_EQ(times.histogram().sum, 3);
}

TEST_F(ApplyTimesTest, WhatChangesAfterItWasSentWaitsForTheNextAcknowledgement) {
  times.changed("a", now);
  times.sent();
  times.changed("a", now + 1s);
  times.acknowledged(now + 2s);
  EXPECT_EQ(times.histogram().count, 1U);
  times.sent();
  times.acknowledged(now + 4s);
  EXPECT_EQ(times.histogram().count, 2U);
  EXPECT_DOUBLE_EQ(times.histogram().sum, 2 + 3);
}

TEST_F(ApplyTimesTest, WhatWasRefusedKeepsItsTimeWhenItIsSentAgain) {
  times.changed("a", now);
  times.sent();
  times.changed("a", now + 5s);
  times.sent();
  times.acknowledged(now + 7s);
  EXPECT_EQ(times.histogram().count, 1U);
  EXPECT_DOUBLE_EQ(times.histogram().sum, 7);
}

TEST_F(ApplyTimesTest, WhatWasUndoneBeforeItWasSentCountsForNothing) {
  times.changed("a", now);
  times.nothing_to_send();
  times.acknowledged(now + 1s);
  EXPECT_EQ(times.histogram().count, 0U);
  EXPECT_EQ(age(), 0);
}

TEST_F(ApplyTimesTest, TheAgeIsThatOfTheOldestThatIsNotAcknowledged) {
  EXPECT_EQ(age(), 0);
  times.changed("a", now - 3s);
  times.sent();
  times.changed("b", now - 1s);
  EXPECT_DOUBLE_EQ(age(), 3);
  times.acknowledged(now);
  EXPECT_DOUBLE_EQ(age(), 1);
}

TEST_F(ApplyTimesTest, OneThatMayHoldAnythingIsBehindUntilItAcknowledges) {
  times.unknown(now - 9s);
  times.unknown(now - 2s);
  EXPECT_DOUBLE_EQ(age(), 9);
  times.sent();
  times.acknowledged(now);
  EXPECT_EQ(age(), 0);
  EXPECT_EQ(times.histogram().count, 0U) << "no change took so long";
}

}  // namespace
}  // namespace lb::controller
