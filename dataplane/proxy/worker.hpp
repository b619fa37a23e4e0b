// One worker thread with a TCP and a UDP engine.
//
// Constructed, posted to and destroyed by the control thread; posted functions run on the
// worker's thread with its engine. The destructor resets what is left and joins.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/worker_loop.hpp"

namespace lb::proxy {

// How many UDP sessions a worker may hold of a process that may open so many descriptors: half of
// them between all workers, so that invented source addresses leave the other half to TCP.
size_t udp_share(uint64_t descriptors, size_t workers);

class Worker {
 public:
  explicit Worker(size_t index, EngineHooks hooks = {}, size_t udp_sessions = SIZE_MAX);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(std::function<void(RelayEngine&)> task);
  void post_udp(std::function<void(UdpRelay&)> task);
  // Serves a connection that another worker has accepted. False, for want of memory: it is still
  // the caller's.
  bool hand_over(const Endpoint& listener, int client);
  // Resets what is left and ends the thread. Idempotent.
  void halt();
  const EngineCounters& counters() const { return engine_.counters(); }
  const UdpCounters& udp_counters() const { return udp_.counters(); }
  // Connections that it serves now; any thread.
  uint64_t load() const {
    const auto closed = counters().closed.load(std::memory_order_relaxed);
    return counters().accepted.load(std::memory_order_relaxed) - closed +
           coming_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<uint64_t> coming_{0};  // handed over, and not adopted yet
  RelayEngine engine_;
  UdpRelay udp_;
  WorkerLoop loop_{engine_, udp_};
  std::thread thread_;
};

}  // namespace lb::proxy
