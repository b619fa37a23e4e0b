// The keepalived process: started, its log passed on, reloaded, started again when it dies.
//
// Owned and called by the control thread, which must be the one that lives as long as the process:
// the kernel ends keepalived by SIGTERM when the thread that started it dies (PR_SET_PDEATHSIG,
// prctl(2)), so it gives its addresses up even when we are killed. What keepalived has started and
// left behind becomes a child of ours (PR_SET_CHILD_SUBREAPER), killed and waited for. Nothing
// throws.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"

namespace lb::announce {

struct KeepalivedOptions {
  std::vector<std::string> command;    // the first is a path
  std::vector<std::string> pid_files;  // of one that was killed: it would not start beside them
  std::chrono::milliseconds first_delay{200};
  std::chrono::milliseconds longest_delay{5'000};
  std::chrono::milliseconds patience{1'000};  // at the end, before SIGKILL
  // From here on it is taken for ready although its log did not say so.
  std::chrono::milliseconds ready_at_latest{10'000};
  std::function<void()> on_exit;                    // it died, all of it; before the next start
  std::function<void(const std::string&)> on_line;  // of its log, without the time
  std::function<void(const Error&)> report;
};

class Keepalived {
 public:
  Keepalived(asio::io_context& io, KeepalivedOptions options);
  ~Keepalived();
  Keepalived(const Keepalived&) = delete;
  Keepalived& operator=(const Keepalived&) = delete;

  void start();
  // Reads its configuration again, as soon as it is able to.
  void reload();
  // Ends it and waits for that, at most `patience` and a little. Idempotent.
  void stop();
  // Kills it after `patience`, without a word to others; then calls `gone`. It is not started
  // again.
  void abandon(std::chrono::milliseconds patience, std::function<void()> gone);

  // Once abandoned and not yet killed: as stop() after all. `gone` is not called, unless it is on
  // its way.
  void stop_abandoned();

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  uint64_t starts() const { return starts_; }
  uint64_t deaths() const { return deaths_; }
  uint64_t reloads() const { return reloads_; }
  // Attempts that the kernel refused a process, a pipe or a descriptor; each is made again later.
  uint64_t start_failures() const { return start_failures_; }
  // Starts whose log did not say that they were complete.
  uint64_t silent_starts() const { return silent_starts_; }

 private:
  void spawn();
  void could_not_start(const char* what);
  void watch();
  void died();
  void start_later();
  void await_ready();
  void became_ready();
  void bury();
  void read_log();
  void take_log();
  void take_log_and_go_on();
  void take_line(std::string line);

  asio::io_context& io_;
  const KeepalivedOptions options_;
  asio::steady_timer again_;
  asio::steady_timer silence_;
  asio::posix::stream_descriptor process_;  // pidfd
  asio::posix::stream_descriptor log_;
  asio::streambuf unread_;
  std::chrono::milliseconds delay_;
  std::chrono::steady_clock::time_point started_at_;
  pid_t pid_ = 0;
  bool ready_ = false;  // its signal handlers stand
  bool reload_wanted_ = false;
  bool stopped_ = false;
  uint64_t starts_ = 0, start_failures_ = 0, silent_starts_ = 0, deaths_ = 0, reloads_ = 0;
};

// The path of `name` in PATH or the system's folders; empty when there is none.
std::string find_program(const std::string& name);

}  // namespace lb::announce
