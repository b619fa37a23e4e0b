// A hashed timer wheel for thousands of deadlines at 10 ms grain (Varghese and Lauck, 1987).
//
// Intrusive: an entry lives inside what it times and must be cancelled before that dies. The
// owner passes the time in; nothing here reads a clock. One thread. Deadlines fire late by up to
// one grain, never early.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lb::proxy {

struct TimerEntry {
  TimerEntry* next = nullptr;
  TimerEntry* previous = nullptr;
  uint64_t at_ms = 0;

  bool armed() const { return next != nullptr; }
};

class TimerWheel {
 public:
  explicit TimerWheel(uint64_t now_ms) : tick_(now_ms / kGrainMs) {
    for (auto& slot : slots_) slot.next = slot.previous = &slot;
    due_.next = due_.previous = &due_;
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  static constexpr uint64_t kGrainMs = 10;
  static constexpr size_t kSlots = 512;

  // Replaces an earlier deadline of the entry.
  void arm(TimerEntry& entry, uint64_t at_ms);
  void cancel(TimerEntry& entry);
  bool empty() const { return count_ == 0; }
  // When expire() is next worth calling, in the time that is passed in; UINT64_MAX: not before
  // something is armed. Early after a cancel, and once a turn for deadlines of later turns.
  uint64_t wake_at() const { return count_ == 0 ? UINT64_MAX : wake_ms_; }

  // Disarms everything due and calls visit(TimerEntry&) with each, without asking for memory; that
  // may arm, cancel and destroy whatever it likes.
  template <class Visit>
  void expire(uint64_t now_ms, const Visit& visit) {
    collect_due(now_ms);
    while (due_.next != &due_) {
      TimerEntry& entry = *due_.next;
      cancel(entry);
      visit(entry);
    }
  }

 private:
  void collect_due(uint64_t now_ms);
  void collect(TimerEntry& slot, uint64_t now_ms);
  void find_next();
  static void link_before(TimerEntry& next, TimerEntry& entry);
  static void unlink(TimerEntry& entry);

  std::array<TimerEntry, kSlots> slots_;
  TimerEntry due_;  // heads the list of what expire() has still to visit
  uint64_t tick_;
  uint64_t wake_ms_ = UINT64_MAX;
  size_t count_ = 0;
};

}  // namespace lb::proxy
