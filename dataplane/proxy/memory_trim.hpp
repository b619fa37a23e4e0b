// When a worker gives the memory of connections that are over back to the system.
//
// free(3) keeps it for the process. Once fewer than a quarter of the connections are left that
// there were at most since the last time, it is returned (malloc_trim(3)) a moment later, when
// those that end together have ended, and not more often than each five seconds. A pure decision;
// the owner passes the time in ms and calls trim() when it is due. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace lb::proxy {

class MemoryTrim {
 public:
  static constexpr size_t kWorthwhile = 1'000;  // connections; fewer are not worth a call
  static constexpr uint64_t kSettleMs = 250;
  static constexpr uint64_t kApartMs = 5'000;

  // How many connections there are now.
  void note(size_t live, uint64_t now) {
    most_ = std::max(most_, live);
    if (due_at_ != UINT64_MAX || most_ < kWorthwhile || live > most_ / 4) return;
    due_at_ = std::max(now + kSettleMs, last_ + kApartMs);
  }
  uint64_t due_at() const { return due_at_; }  // UINT64_MAX: nothing to do
  bool due(uint64_t now) const { return now >= due_at_; }
  // Returns what is free, of all threads. About a millisecond for the memory of 10,000 connections.
  void trim(size_t live, uint64_t now);
  uint64_t trims() const { return trims_; }

 private:
  size_t most_ = 0;
  uint64_t due_at_ = UINT64_MAX;
  uint64_t last_ = 0;
  uint64_t trims_ = 0;
};

}  // namespace lb::proxy
