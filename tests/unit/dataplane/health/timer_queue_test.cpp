#include "dataplane/health/timer_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace lb::health {
namespace {

using namespace std::chrono_literals;
using Clock = TimerQueue::Clock;

class TimerQueueTest : public testing::Test {
 protected:
  void run() { io_.run_for(5s); }  // returns when nothing waits any more

  asio::io_context io_;
  std::optional<TimerQueue> timers_{std::in_place, io_};
  const Clock::time_point now_ = Clock::now();
  std::vector<int> called_;
};

TEST_F(TimerQueueTest, CallsInOrderOfTime) {
  for (const int after : {70, 30, 50}) {
    timers_->at(now_ + after * 1ms, [this, after] { called_.push_back(after); });
  }
  run();
  EXPECT_EQ(called_, (std::vector{30, 50, 70}));
}

TEST_F(TimerQueueTest, NeverCallsEarly) {
  const auto when = now_ + 33ms;
  Clock::time_point called;
  timers_->at(when, [&] { called = Clock::now(); });
  run();
  EXPECT_GE(called, when);
}

TEST_F(TimerQueueTest, CallsForATimeThatIsPast) {
  timers_->at(now_ - 1h, [this] { called_.push_back(1); });
  run();
  EXPECT_EQ(called_, std::vector{1});
}

TEST_F(TimerQueueTest, DoesNotCallFromInsideAt) {
  timers_->at(now_ - 1h, [this] { called_.push_back(1); });
  EXPECT_TRUE(called_.empty());
}

TEST_F(TimerQueueTest, DoesNotCallWhatIsCancelled) {
  const auto id = timers_->at(now_ + 20ms, [this] { called_.push_back(1); });
  timers_->at(now_ + 30ms, [this] { called_.push_back(2); });
  timers_->cancel(id);
  run();
  EXPECT_EQ(called_, std::vector{2});
}

TEST_F(TimerQueueTest, CancelsNothingForNoId) {
  timers_->at(now_, [this] { called_.push_back(1); });
  timers_->cancel({});
  run();
  EXPECT_EQ(called_, std::vector{1});
}

TEST_F(TimerQueueTest, WakesEarlierForAnEarlierCall) {
  const auto late = timers_->at(now_ + 1h, [] {});
  timers_->at(now_ + 10ms, [&, this] {
    called_.push_back(1);
    timers_->cancel(late);
    timers_.reset();
  });
  run();
  EXPECT_EQ(called_, std::vector{1});
  EXPECT_LT(Clock::now() - now_, 5s);
}

TEST_F(TimerQueueTest, MayCancelFromACallWhatIsDueWithIt) {
  const auto second = std::make_shared<TimerQueue::Id>();
  timers_->at(now_ - 2h, [=, this] { timers_->cancel(*second); });
  *second = timers_->at(now_ - 1h, [this] { called_.push_back(2); });
  run();
  EXPECT_TRUE(called_.empty());
}

TEST_F(TimerQueueTest, LetsOthersRunBetweenACallAndWhatItAddsForNow) {
  timers_->at(now_ - 1h, [this] {
    asio::post(io_, [this] { called_.push_back(1); });
    timers_->at(now_ - 2h, [this] { called_.push_back(2); });
  });
  run();
  EXPECT_EQ(called_, (std::vector{1, 2}));
}

TEST_F(TimerQueueTest, MayBeDestroyedFromACall) {
  timers_->at(now_ - 2h, [this] { timers_.reset(); });
  timers_->at(now_ - 1h, [this] { called_.push_back(1); });
  run();
  EXPECT_TRUE(called_.empty());
}

TEST_F(TimerQueueTest, ForgetsWhatItHasCalled) {
  timers_->at(now_, [] {});
  EXPECT_EQ(timers_->size(), 1u);
  run();
  EXPECT_EQ(timers_->size(), 0u);
}

}  // namespace
}  // namespace lb::health
