// What a worker's thread does: one epoll_wait(2) for connections, datagrams, tasks and deadlines.
//
// The set it waits on is the TCP engine's own, and the rest lies in that: the UDP engine's set, an
// eventfd(2) for tasks, a timerfd_create(2) for the earlier deadline of both engines. The busiest
// set must not lie in another one, for each event of an inner set wakes the outer one too. The
// timer is set when a deadline comes nearer and not for each wait. Everything but post() belongs to
// the thread that runs it; the engines are the caller's and outlive it. Throws std::system_error
// when made without descriptors to spare.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "common/net/asio.hpp"
#include "common/net/fd.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/udp_relay.hpp"

namespace lb::proxy {

class WorkerLoop {
 public:
  WorkerLoop(RelayEngine& tcp, UdpRelay& udp);
  WorkerLoop(const WorkerLoop&) = delete;
  WorkerLoop& operator=(const WorkerLoop&) = delete;

  // Serves until stop(). What lacks memory is counted by the TCP engine, and the rest goes on.
  void run();
  // Only from a task. What was posted behind it is not run.
  void stop() { tasks_.stop(); }
  // Has it run by the thread of run(), in the order of posting. Any thread. Throws std::bad_alloc,
  // and then it is not posted.
  void post(std::function<void()> task);

 private:
  static constexpr int kForever = -1;
  // Before connections get their turn: about a millisecond's worth.
  static constexpr int kBatchesPerTurn = 16;
  static constexpr uint64_t kDatagramsPerTurn = 256;

  void turn();
  void heed(uint32_t roused);
  void run_tasks();
  void serve_datagrams();
  void tick();
  void keep_ticking();

  RelayEngine& tcp_;
  UdpRelay& udp_;
  asio::io_context tasks_{1};
  asio::executor_work_guard<asio::io_context::executor_type> open_{tasks_.get_executor()};
  net::Fd bell_;
  std::atomic<bool> rung_{false};
  net::Fd timer_;
  uint64_t ticks_at_ = UINT64_MAX;  // what timer_ is set to; steady_clock in ms
};

}  // namespace lb::proxy
