// A handoff_peer that a test started: its lines, its end. One thread at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include <vector>

#include "common/net/fd.hpp"

namespace lb::handoff {

class PeerProcess {
 public:
  // `environment` are "NAME=value" beside the test's own.
  explicit PeerProcess(std::vector<std::string> arguments,
                       std::vector<std::string> environment = {});
  PeerProcess(PeerProcess&&) = default;
  PeerProcess& operator=(PeerProcess&&) = delete;
  ~PeerProcess();  // kills it if it still runs

  // The rest of the next line that begins with `word`, within 20 s; "(none)" when it does not come.
  std::string line(const std::string& word);

  void end_input() { input_.reset(); }
  int wait();  // the exit status, or minus the signal

 private:
  struct Id {
    pid_t pid = -1;
    Id() = default;
    Id(Id&& other) noexcept : pid(std::exchange(other.pid, -1)) {}
  };

  bool read_more();

  Id id_;
  net::Fd input_, output_;
  std::string unread_;
};

}  // namespace lb::handoff
