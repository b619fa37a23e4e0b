// The log of ended connections: JSON lines on standard output, gathered and written by a thread of
// its own.
//
// write() may be called from any worker; it locks for as long as a line takes to append. When the
// reader of the log is so slow that more than 8 MiB wait, lines are dropped and counted: a log
// never holds up a byte. Nor does it hold up the end: what is not read within a second of stop()
// is dropped and counted. So is a line for which there is no memory; the thread asks for none.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace lb::dataplane {

class FlowLog {
 public:
  explicit FlowLog(int fd);
  ~FlowLog();
  FlowLog(const FlowLog&) = delete;
  FlowLog& operator=(const FlowLog&) = delete;

  void write(const std::string& line) noexcept;
  // A line that could not even be made.
  void drop() { ++dropped_; }
  // Writes what waits and ends. Idempotent.
  void stop();

  uint64_t lines() const { return lines_; }
  uint64_t dropped() const { return dropped_; }

 private:
  void run();
  void write_all(const std::string& text);
  bool await_room();

  const int fd_;
  std::atomic<uint64_t> lines_{0};
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string waiting_;  // guarded by mutex_, as is the next one
  bool stopping_ = false;
  std::chrono::steady_clock::time_point stop_by_;
  std::thread thread_;
};

}  // namespace lb::dataplane
