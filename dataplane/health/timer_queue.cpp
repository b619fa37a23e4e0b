#include "dataplane/health/timer_queue.hpp"

#include <new>
#include <utility>

namespace lb::health {

TimerQueue::TimerQueue(asio::io_context& io)
    : timer_(io), alive_(std::make_shared<TimerQueue*>(this)) {}

TimerQueue::Id TimerQueue::at(Clock::time_point when, Call call) {
  const auto since_epoch = when.time_since_epoch() + kTick - Clock::duration(1);
  const Id id{since_epoch / kTick, ++serial_};
  calls_.emplace(id, std::move(call));
  try {
    arm();
  } catch (const std::bad_alloc&) {
    calls_.erase(id);
    throw;
  }
  return id;
}

// Not held across fire(): whether the queue still lives is asked within it.
TimerQueue* TimerQueue::queue_of(const std::weak_ptr<TimerQueue*>& alive) {
  const auto queue = alive.lock();
  return queue ? *queue : nullptr;
}

// Cancelling leaves the timer as it is: an early wake finds nothing and arms anew, which is
// cheaper than to set the timer at each cancelled deadline.
void TimerQueue::arm() {
  if (calls_.empty() || calls_.begin()->first.tick >= armed_) return;
  armed_ = calls_.begin()->first.tick;
  boost::system::error_code ignored;
  timer_.expires_at(Clock::time_point(armed_ * kTick), ignored);
  const int64_t tick = std::exchange(armed_, kUnarmed);
  timer_.async_wait([alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (TimerQueue* self = queue_of(alive); self != nullptr && !error) self->fire();
  });
  armed_ = tick;  // last: for want of memory the next call arms it
}

void TimerQueue::fire() {
  const auto alive = std::weak_ptr(alive_);
  const int64_t now = Clock::now().time_since_epoch() / kTick;
  const uint64_t last = serial_;  // what the calls add waits for the next turn
  armed_ = kUnarmed;
  auto next = calls_.begin();
  while (next != calls_.end() && next->first.tick <= now) {
    const Id id = next->first;
    if (id.serial > last) {
      ++next;
      continue;
    }
    const Call call = std::move(next->second);
    calls_.erase(next);
    try {
      call();
    } catch (const std::bad_alloc&) {
      if (!alive.expired()) arm();
      throw;
    }
    if (alive.expired()) return;
    next = calls_.upper_bound(id);
  }
  arm();
}

}  // namespace lb::health
