// How many times the program has asked for heap memory, and a heap that is used up; linking it
// replaces operator new.
#pragma once

#include <cstdint>

namespace lb::proxy {

uint64_t allocations();

// While it lives, this thread is refused the allocation of that number, counted from 0, and with
// kEach all of them; `onward`: all from that one on. One at a time.
class FailingNew {
 public:
  static constexpr int64_t kEach = -2;

  explicit FailingNew(int64_t number, bool onward = false);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  static bool has_failed();  // since the latest one was made
};

// While it lives, the threads that were chosen are refused every allocation. One at a time.
class FailingThreads {
 public:
  FailingThreads();
  ~FailingThreads();
  FailingThreads(const FailingThreads&) = delete;
  FailingThreads& operator=(const FailingThreads&) = delete;

  // This thread, for good; false: it was chosen before.
  static bool choose();
};

}  // namespace lb::proxy
