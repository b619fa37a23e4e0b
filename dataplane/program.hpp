// The running data plane: loads a state, serves it, and ends in order at SIGTERM or SIGINT.
//
// One object per process, on the main thread, which becomes the control thread while run() lasts.
#pragma once

#include <memory>
#include <set>

#include "common/net/asio.hpp"
#include "dataplane/config.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/state_store.hpp"

namespace lb::dataplane {

class Program {
 public:
  explicit Program(Config config) : config_(std::move(config)) {}

  // The exit code: 0 ended by a signal, 1 could not start (said on standard error).
  int run();

 private:
  Status prepare();
  Result<DesiredState> first_state();
  void serve(DesiredState state);
  void wait_for_signal();

  Config config_;
  asio::io_context io_{1};
  asio::signal_set signals_{io_, SIGTERM, SIGINT};
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<proxy::DataPath> path_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace lb::dataplane
