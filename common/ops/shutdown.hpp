// Ends a program in order: the first SIGTERM or SIGINT asks, the second insists.
//
// Owned by the thread that runs the io_context. `ask` is called once, there; a second signal ends
// the process at once with 128 + the signal's number, for whoever will not wait for a drain.
#pragma once

#include <unistd.h>

#include <csignal>
#include <functional>
#include <utility>

#include "common/net/asio.hpp"

namespace lb::ops {

class Shutdown {
 public:
  Shutdown(asio::io_context& io, std::function<void()> ask) : signals_(io, SIGTERM, SIGINT) {
    signals_.async_wait([this, ask = std::move(ask)](const auto& error, int) {
      if (error) return;
      insist();
      ask();
    });
  }

  // Lets the io_context run out of work.
  void forget() { signals_.cancel(); }

 private:
  void insist() {
    signals_.async_wait([](const auto& error, int signal) {
      if (!error) ::_exit(128 + signal);
    });
  }

  asio::signal_set signals_;
};

}  // namespace lb::ops
