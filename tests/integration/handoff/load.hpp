// New connections and datagrams without a pause, for as long as it lives, on a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "common/net/fd.hpp"

namespace lb::handoff {

// A connection to 127.0.0.1 with patience of ten seconds; invalid when it fails.
net::Fd connect_to(uint16_t port);
// One byte there and the same one back.
bool answers(const net::Fd& connection, char byte);
bool greeted(const net::Fd& connection);

class Load {
 public:
  Load(uint16_t tcp_port, uint16_t udp_port);
  ~Load() { stop(); }

  void stop();
  // Returns once `count` more connections than now were tried; false when that takes too long.
  bool wait_for(uint64_t count) const;

  uint64_t connects() const { return connects_; }       // that succeeded
  uint64_t failed_connects() const { return failed_; }  // refused, reset, timed out
  uint64_t lost_connections() const { return lost_; }   // connected, and then not served
  uint64_t unanswered_datagrams() const { return unanswered_; }
  uint64_t datagrams() const { return datagrams_; }

 private:
  void run();
  void connect_once();
  void send_once(const net::Fd& socket);

  const uint16_t tcp_port_, udp_port_;
  std::atomic<bool> running_{true};
  std::atomic<uint64_t> connects_{0}, failed_{0}, lost_{0}, unanswered_{0}, datagrams_{0};
  std::thread thread_;
};

}  // namespace lb::handoff
