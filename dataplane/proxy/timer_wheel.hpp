// A hashed timer wheel for thousands of deadlines at 10 ms grain (Varghese and Lauck, 1987).
//
// Intrusive: an entry lives inside what it times and must be cancelled before that dies. The
// owner passes the time in; nothing here reads a clock. One thread. Deadlines fire late by up to
// one grain, never early.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

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

  // Disarms and returns everything due; the caller may arm and cancel while it walks the list.
  std::vector<TimerEntry*> expire(uint64_t now_ms);

 private:
  void collect(TimerEntry& slot, uint64_t now_ms, std::vector<TimerEntry*>& due);

  std::array<TimerEntry, kSlots> slots_;
  void find_next();

  uint64_t tick_;
  uint64_t wake_ms_ = UINT64_MAX;
  size_t count_ = 0;
};

}  // namespace lb::proxy
