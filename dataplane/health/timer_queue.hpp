// Many deadlines on one Asio timer, in ticks of 10 ms, so that a thousand probes a second do not
// set the kernel's timer a thousand times.
//
// A call comes on the io_context's thread, never before its time and at most a tick after it.
// Belongs to one thread. Destroying the queue drops what waits. No errors.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "common/net/asio.hpp"

namespace lb::health {

class TimerQueue {
 public:
  using Clock = std::chrono::steady_clock;
  using Call = std::function<void()>;
  struct Id {
    int64_t tick = 0;
    uint64_t serial = 0;  // 0: none
    auto operator<=>(const Id&) const = default;
  };

  explicit TimerQueue(asio::io_context& io);
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  Id at(Clock::time_point when, Call call);
  // Does nothing for one that was called, cancelled, or is none.
  void cancel(const Id& id) { calls_.erase(id); }
  size_t size() const { return calls_.size(); }
  // Sets the timer where want of memory has kept it from being set; else does nothing.
  void look() { arm(); }

 private:
  static TimerQueue* queue_of(const std::weak_ptr<TimerQueue*>& alive);
  void arm();
  void fire();

  static constexpr std::chrono::milliseconds kTick{10};
  static constexpr int64_t kUnarmed = INT64_MAX;

  asio::steady_timer timer_;
  std::map<Id, Call> calls_;
  uint64_t serial_ = 0;
  int64_t armed_ = kUnarmed;  // the tick that timer_ is set for
  // Gone with the queue: a wait that completes later finds it expired.
  std::shared_ptr<TimerQueue*> alive_;
};

}  // namespace lb::health
