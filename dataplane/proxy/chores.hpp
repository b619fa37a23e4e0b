// A thread for what has time: pauses, and connections that ask whether a backend is back.
//
// A beat asks for no memory, so that what was lost for want of it can be begun again. Nothing of
// this may delay a byte, so it is no worker's. Made and destroyed by the control thread, any thread
// may call; what is asked runs on the thread of this. The destructor drops what still waits, and
// joins.
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <functional>
#include <memory>
#include <thread>

#include "common/net/asio.hpp"
#include "dataplane/proxy/readmission.hpp"

namespace lb::proxy {

class Chores {
 public:
  // `task` runs on the thread of this again and again.
  struct Beat {
    std::chrono::milliseconds every{};
    std::function<void()> task;
  };

  // Readmissions leave descriptors from `descriptor_line` on alone.
  explicit Chores(int descriptor_line = INT_MAX) : Chores(descriptor_line, Beat{}) {}
  Chores(int descriptor_line, Beat beat);
  ~Chores();
  Chores(const Chores&) = delete;
  Chores& operator=(const Chores&) = delete;

  // Runs `task` after a while. Throws std::bad_alloc, as readmit() does.
  void after(std::chrono::milliseconds time, std::function<void()> task);
  // Asks the backend until it answers; see readmission.hpp.
  void readmit(std::shared_ptr<BackendRecord> backend, Readmission::Options options);
  // How many could not be done for want of memory.
  uint64_t memory_wants() const { return memory_wants_; }
  // Tries that had to wait for descriptors, or for others to end.
  uint64_t readmissions_put_off() const { return readmissions_.put_off; }

 private:
  void run();
  void run_until_beat();

  const Beat beat_;
  std::chrono::steady_clock::time_point next_beat_;
  std::atomic<uint64_t> memory_wants_{0};
  Readmission::Shared readmissions_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> open_{io_.get_executor()};
  asio::steady_timer first_{io_};  // Asio asks for its descriptors now and not at the limit
  std::thread thread_;
};

}  // namespace lb::proxy
