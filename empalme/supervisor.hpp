// Keeps child processes running, and ends them in order.
//
// Owned by the thread that runs the io_context. A child that dies is started again after a pause
// that doubles up to 5 s; one that cannot even start (ends with an error within its first seconds)
// ends everything with its exit code, since it would never do better. Signals are handed on to the
// children, last started first; orphans that PID 1 inherits are reaped. Children die with us.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "common/net/asio.hpp"

namespace lb::cli {

struct ChildSpec {
  std::string name;
  std::string program;
  std::vector<std::string> arguments;
};

class Supervisor {
 public:
  struct Options {
    std::chrono::milliseconds first_pause{100};
    std::chrono::milliseconds longest_pause{5'000};
    std::chrono::milliseconds settled{2'000};  // a life that was long enough to call it running
  };

  Supervisor(asio::io_context& io, std::vector<ChildSpec> children, Options options);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Starts everything; run() of the io_context returns when all have ended. The exit code is 0
  // after a signal.
  void start();
  int exit_code() const { return exit_code_; }

 private:
  struct Child {
    ChildSpec spec;
    pid_t pid = 0;  // 0: not running
    bool settled_once = false;
    std::chrono::milliseconds pause;
    std::chrono::steady_clock::time_point began;
    asio::steady_timer timer;
  };

  void spawn(Child& child);
  void await_children();
  void await_signals();
  void reap();
  void ended(Child& child, int status);
  void restart_later(Child& child);
  void stop(int signal);
  void finish_if_over();

  asio::io_context& io_;
  const Options options_;
  std::vector<Child> children_;
  asio::signal_set deaths_;
  asio::signal_set signals_;
  bool stopping_ = false;
  bool over_ = false;
  int exit_code_ = 0;
};

}  // namespace lb::cli
