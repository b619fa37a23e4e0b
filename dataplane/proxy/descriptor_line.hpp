// Keeps the last descriptors of the process from traffic, at no system call per connection.
//
// What is open is counted by the kernel (proc_pid_fd(5)), whoever opened it: connections, pipes,
// listeners, checks. A look at that count allows a sixteenth of the room for as many connections
// before the next look, for a second at most. The kernel always gives the lowest free number
// (open(2)), so a number at or above the line proves that all below are taken, and ends the
// allowance at once. Where there is no room, traffic waits; looks are then 100 ms apart, or as soon
// as something was released. Where the kernel does not tell (before Linux 6.2), all are counted
// each 100 ms at most, and what this engine has begun and ended since is reckoned in. One object
// per engine, on its thread; each may be one connection beyond the line. Times in ms of the owner's
// clock.
#pragma once

#include <algorithm>
#include <climits>
#include <cstdint>

namespace lb::proxy {

// How RLIMIT_NOFILE is shared out. When that many are open, those from `traffic` on are not for
// connections, pipes and UDP sessions; numbers from `upkeep` on not for listeners and health checks
// either: they are left to the admin API, /healthz, /metrics, the state file and logs.
struct DescriptorShares {
  int limit = INT_MAX;
  int traffic = INT_MAX;
  int upkeep = INT_MAX;

  int reserve() const { return limit - traffic; }
};

// 64 and four for each worker are kept back, but never more than a quarter of the limit; half of
// that from listeners and checks.
DescriptorShares share_descriptors(uint64_t limit, unsigned workers);

class DescriptorLine {
 public:
  explicit DescriptorLine(int line = INT_MAX) : line_(line) {}

  static constexpr uint64_t kLookMs = 100;      // between looks where there is no room
  static constexpr uint64_t kAllowedMs = 1000;  // how long a look is good for where there is

  bool beyond(int fd) const { return fd >= line_; }
  // Traffic has got this one.
  void note(int fd) {
    if (!beyond(fd)) return;
    allowed_ = 0;
    reckoned_ = std::max(reckoned_, int64_t{line_});
  }
  // Whether one more connection has to wait; if not, it is taken as begun.
  bool lacking(uint64_t now) {
    if (line_ == INT_MAX) return false;
    if (allowed_ > 0 && now < allowed_until_) {
      --allowed_;
    } else if (look(now)) {
      return true;
    }
    reckoned_ += kOfAConnection;
    return false;
  }
  // Descriptors were given back: it is worth looking at once.
  void released() {
    look_at_ = 0;
    reckoned_ -= kOfAConnection;
  }
  uint64_t looks() const { return looks_; }
  // Of these, for which the kernel did not tell and all were counted.
  uint64_t walks() const { return walks_; }

 private:
  static constexpr int64_t kOfAConnection = 2;

  bool look(uint64_t now);
  int64_t open_now(uint64_t now);

  const int line_;
  int allowed_ = 0;
  uint64_t allowed_until_ = 0;
  uint64_t look_at_ = 0;
  uint64_t looks_ = 0;
  int64_t reckoned_ = 0;  // open, where the kernel does not tell
  uint64_t walk_at_ = 0;
  uint64_t walks_ = 0;
};

}  // namespace lb::proxy
