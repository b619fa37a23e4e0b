// One worker thread: an io_context with the relay engine's epoll set nested in it.
//
// Constructed, posted to and destroyed by the control thread; posted functions run on the
// worker's thread with its engine. The destructor resets what is left and joins.
#pragma once

#include <functional>
#include <thread>

#include "common/net/asio.hpp"
#include "dataplane/proxy/readmission.hpp"
#include "dataplane/proxy/relay_engine.hpp"

namespace lb::proxy {

class Worker {
 public:
  explicit Worker(size_t index, EngineHooks hooks = {});
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(std::function<void(RelayEngine&)> task);
  // Runs `task` on the worker's thread after a while.
  void after(std::chrono::milliseconds time, std::function<void()> task);
  // Asks the backend until it answers; see readmission.hpp.
  void readmit(std::shared_ptr<BackendRecord> backend, Readmission::Options options);
  const EngineCounters& counters() const { return engine_.counters(); }
  // Connections that it serves now; any thread.
  uint64_t load() const {
    const auto closed = counters().closed.load(std::memory_order_relaxed);
    return counters().accepted.load(std::memory_order_relaxed) - closed;
  }

 private:
  void wait_for_events();
  void on_events();
  void keep_ticking();
  void go_on();

  RelayEngine engine_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::posix::stream_descriptor epoll_{io_, engine_.descriptor()};
  asio::steady_timer timer_{io_};
  uint64_t ticks_at_ = UINT64_MAX;  // what timer_ waits for
  std::thread thread_;
};

}  // namespace lb::proxy
