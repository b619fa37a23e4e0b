// The backends of a benchmark: three listeners in the load's own thread, so that no scheduler
// stands between the two roles. They check each request and answer with its size of pattern. One
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/net/fd.hpp"
#include "tests/bench/pattern.hpp"

namespace bench {

class BackendSide {
 public:
  // Ports first_port, +1, +2 of 127.0.0.1; ends the program when one is taken.
  BackendSide(int epoll, uint16_t first_port, const Pattern& pattern);

  bool owns(int fd) const { return listeners_.contains(fd) || connections_.contains(fd); }
  void on_event(int fd);

 private:
  struct Connection {
    lb::net::Fd fd;
    uint32_t backend = 0;
    RequestHead head;
    size_t head_got = 0;
    uint64_t body_got = 0;
    uint64_t bad = 0;
    std::string answer_head;
    size_t answer_head_sent = 0;
    uint64_t body_sent = 0;
    bool answering = false;
  };

  void accept_all(int listener);
  bool read_request(Connection& connection);
  bool write_answer(Connection& connection);
  void begin_answer(Connection& connection);

  const int epoll_;
  const Pattern& pattern_;
  std::vector<char> buffer_ = std::vector<char>(Pattern::kWindow);
  std::unordered_map<int, uint32_t> listeners_;
  std::vector<lb::net::Fd> listening_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
};

}  // namespace bench
