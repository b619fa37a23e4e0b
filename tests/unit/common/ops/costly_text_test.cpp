// A text that takes long to make, under a clock that the test turns.
#include "common/ops/costly_text.hpp"

#include <gtest/gtest.h>

#include <new>

namespace lb::ops {
namespace {

using namespace std::chrono_literals;

class CostlyTextTest : public testing::Test {
 protected:
  std::string make() {
    ++made_;
    now_ += cost_;
    if (fails_) throw std::bad_alloc();
    return "text " + std::to_string(made_);
  }
  // Asks each millisecond, as long as that takes.
  void ask_for(std::chrono::milliseconds time) {
    for (const auto end = now_ + time; now_ < end; now_ += 1ms) text_.get();
  }

  CostlyText::Clock::time_point now_{};
  CostlyText::Clock::duration cost_ = 400ms;
  int made_ = 0;
  bool fails_ = false;
  CostlyText text_{[this] { return make(); }, [this] { return now_; }};
};

TEST_F(CostlyTextTest, IsMadeWhenItIsFirstAskedFor) {
  EXPECT_EQ(made_, 0);
  EXPECT_EQ(*text_.get(), "text 1");
}

TEST_F(CostlyTextTest, AllWhoAskSoonShareOne) {
  const auto first = text_.get();
  now_ += 1s;
  EXPECT_EQ(text_.get(), first);
  EXPECT_EQ(made_, 1);
}

TEST_F(CostlyTextTest, IsMadeAnewOnceTwentyTimesTheMakingHasPassed) {
  text_.get();
  now_ += 20 * cost_ + 1ms;
  EXPECT_EQ(*text_.get(), "text 2");
}

TEST_F(CostlyTextTest, UnderAFloodItIsTwentyTimesAsOldAsItTookToMake) {
  for (int i = 0; made_ < 2 && i < 10'000; ++i) ask_for(1ms);  // spends what there was to spend
  ASSERT_EQ(made_, 2);
  ask_for(20 * 400ms - 10ms);
  EXPECT_EQ(made_, 2);
  ask_for(20ms);
  EXPECT_EQ(made_, 3);
}

TEST_F(CostlyTextTest, AFloodHasATwentiethOfTheTime) {
  for (const auto cost : {1ms, 30ms, 400ms}) {
    cost_ = cost;
    const int before = made_;
    ask_for(100s);
    const auto spent = (made_ - before) * cost;
    EXPECT_LE(spent, 100s / CostlyText::kShare + CostlyText::kMostCredit + cost) << cost.count();
    EXPECT_GE(spent, 100s / (CostlyText::kShare + 3)) << cost.count();
  }
}

TEST_F(CostlyTextTest, WhatTakesLittleIsAlwaysNewForWhoAsksNowAndThen) {
  cost_ = 1ms;
  for (int i = 1; i <= 1000; ++i) {
    text_.get();
    text_.get();
    EXPECT_EQ(made_, 2 * i);
    now_ += 50ms;
  }
}

TEST_F(CostlyTextTest, ALongRestEarnsNoMoreThanAMoment) {
  cost_ = 60ms;
  now_ += 1h;
  for (int i = 0; i < 10; ++i) text_.get();
  EXPECT_EQ(made_, 2);
}

TEST_F(CostlyTextTest, WhoHoldsATextKeepsIt) {
  const auto held = text_.get();
  now_ += 1h;
  EXPECT_NE(text_.get(), held);
  EXPECT_EQ(*held, "text 1");
}

TEST_F(CostlyTextTest, WithoutATextAFailureIsToldAndTriedAgain) {
  fails_ = true;
  EXPECT_THROW(text_.get(), std::bad_alloc);
  fails_ = false;
  EXPECT_EQ(*text_.get(), "text 2");
}

TEST_F(CostlyTextTest, AFailureIsNotTriedAgainAtOnceWhereThereIsATextOfBefore) {
  text_.get();
  now_ += 1h;
  fails_ = true;
  EXPECT_THROW(text_.get(), std::bad_alloc);
  EXPECT_EQ(*text_.get(), "text 1");
  EXPECT_EQ(made_, 2);
}

}  // namespace
}  // namespace lb::ops
