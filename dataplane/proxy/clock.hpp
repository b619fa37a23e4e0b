// The clock of the byte path: std::chrono::steady_clock in whole milliseconds. Any thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace lb::proxy {

inline uint64_t monotonic_ms() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  const auto since = steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(duration_cast<milliseconds>(since).count());
}

}  // namespace lb::proxy
