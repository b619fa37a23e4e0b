#include "dataplane/proxy/timer_wheel.hpp"

#include <algorithm>

namespace lb::proxy {

void TimerWheel::arm(TimerEntry& entry, uint64_t at_ms) {
  cancel(entry);
  // Rounded up, and never into a slot that has been walked already.
  const uint64_t tick = std::max((at_ms + kGrainMs - 1) / kGrainMs, tick_ + 1);
  TimerEntry& slot = slots_[tick % kSlots];
  wake_ms_ = std::min(wake_ms_, tick * kGrainMs);
  entry.at_ms = at_ms;
  link_before(slot, entry);
  ++count_;
}

void TimerWheel::link_before(TimerEntry& next, TimerEntry& entry) {
  entry.next = &next;
  entry.previous = next.previous;
  next.previous->next = &entry;
  next.previous = &entry;
}

void TimerWheel::unlink(TimerEntry& entry) {
  entry.previous->next = entry.next;
  entry.next->previous = entry.previous;
  entry.next = entry.previous = nullptr;
}

void TimerWheel::cancel(TimerEntry& entry) {
  if (!entry.armed()) return;
  unlink(entry);
  --count_;
}

void TimerWheel::collect_due(uint64_t now_ms) {
  const uint64_t target = now_ms / kGrainMs;
  // After a long sleep one turn of the wheel has seen every slot.
  if (target > tick_ + kSlots) tick_ = target - kSlots;
  while (tick_ < target) collect(slots_[++tick_ % kSlots], now_ms);
  find_next();
}

void TimerWheel::find_next() {
  for (uint64_t ahead = 1; ahead <= kSlots; ++ahead) {
    const TimerEntry& slot = slots_[(tick_ + ahead) % kSlots];
    if (slot.next == &slot) continue;
    wake_ms_ = (tick_ + ahead) * kGrainMs;
    return;
  }
  wake_ms_ = UINT64_MAX;
}

void TimerWheel::collect(TimerEntry& slot, uint64_t now_ms) {
  for (TimerEntry* entry = slot.next; entry != &slot;) {
    TimerEntry* following = entry->next;
    if (entry->at_ms <= now_ms) {
      unlink(*entry);
      link_before(due_, *entry);
    }
    entry = following;
  }
}

}  // namespace lb::proxy
