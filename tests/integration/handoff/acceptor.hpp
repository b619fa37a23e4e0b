// A little server for the tests of the handoff: workers that greet, answer and keep connections.
//
// Each worker is a thread with its own listening sockets. A connection gets one byte when it is
// accepted and one for each that it sends; a datagram is sent back. Made and called by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <thread>
#include <vector>

#include "common/model/state.hpp"
#include "common/net/fd.hpp"

namespace lb::handoff {

struct ListeningSocket {
  net::Fd fd;
  Protocol protocol = Protocol::kTcp;
};

class Acceptor {
 public:
  explicit Acceptor(std::vector<ListeningSocket> sockets);
  ~Acceptor();  // closes what is left
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Once it returns nothing is accepted any more; connections are served on.
  void stop_accepting();

  uint64_t accepted() const { return accepted_; }
  uint64_t datagrams() const { return datagrams_; }
  uint64_t connections() const { return connections_; }

 private:
  void run();
  bool serve_ready();
  void serve_listener(const ListeningSocket& listener);
  void serve_connection(net::Fd& connection);
  void obey();

  std::vector<ListeningSocket> sockets_;  // of the thread, as is the next one
  std::vector<net::Fd> open_;
  net::Fd wake_;
  std::promise<void> stopped_accepting_;
  std::atomic<bool> accepting_{true};
  std::atomic<bool> running_{true};
  std::atomic<uint64_t> accepted_{0}, datagrams_{0}, connections_{0};
  std::thread thread_;
};

}  // namespace lb::handoff
