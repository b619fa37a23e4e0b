// How many times the program has asked for heap memory, and a heap that is used up; linking it
// replaces operator new.
#pragma once

#include <cstdint>

namespace lb::proxy {

uint64_t allocations();

// While it lives, this thread is refused the allocation of that number, counted from 0, and with
// kEach all of them. One at a time.
class FailingNew {
 public:
  static constexpr int64_t kEach = -2;

  explicit FailingNew(int64_t number);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  static bool has_failed();  // since the latest one was made
};

}  // namespace lb::proxy
